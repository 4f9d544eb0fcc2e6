package org.tunproxy.test;

import java.util.function.Supplier;
import org.tunproxy.LinuxTun;
import org.tunproxy.TunProxy;
import org.tunproxy.TunProxyConfig;
import org.tunproxy.TunProxyHostKey;
import org.tunproxy.TunProxyState;

/** Listeners that throw: it counts as a refusal, is told to the log, and harms nothing else. */
final class ThrowingTest {
  private ThrowingTest() {}

  private static final class Bad extends Ear {
    private final String method;
    private final Supplier<? extends RuntimeException> thrown;

    Bad(String method, Supplier<? extends RuntimeException> thrown) {
      this.method = method;
      this.thrown = thrown;
    }

    private void maybe(String called) {
      if (called.equals(method)) {
        throw thrown.get();
      }
    }

    @Override
    public void onState(TunProxyState changed, int why, String text) {
      super.onState(changed, why, text);
      maybe("onState");
    }

    @Override
    public void onLog(int level, String line) {
      super.onLog(level, line);
      maybe("onLog");
    }

    @Override
    public boolean onProtect(int fd) {
      maybe("onProtect");
      return super.onProtect(fd);
    }

    @Override
    public void onVerifyHostKey(Question question, TunProxyHostKey key) {
      maybe("onVerifyHostKey");
      super.onVerifyHostKey(question, key);
    }

    @Override
    public void onAsk(Question question, String prompt, boolean echo) {
      maybe("onAsk");
      super.onAsk(question, prompt, echo);
    }

    @Override
    public String[] onResolve(String name) {
      maybe("onResolve");
      return super.onResolve(name);
    }

    @Override
    public int onFlowOwner(
        int protocol, String localAddress, int localPort, String remoteAddress, int remotePort) {
      maybe("onFlowOwner");
      return super.onFlowOwner(protocol, localAddress, localPort, remoteAddress, remotePort);
    }
  }

  static void all() throws Exception {
    carriesOn("onState");
    carriesOn("onLog");
    carriesOn("onFlowOwner");
    refused("onProtect", 9);
    refused("onResolve", 9);
    refused("onVerifyHostKey", 7);
    refused("onAsk", 8);
  }

  private static RuntimeException overflow() {
    throw new StackOverflowError("as deep as it goes");
  }

  private static void carriesOn(String method) throws Exception {
    for (Supplier<? extends RuntimeException> thrown : kinds()) {
      Bad ear = new Bad(method, thrown);
      try (TunProxy tunnel = new TunProxy(ear)) {
        tunnel.configure(Place.byAddress());
        tunnel.start(LinuxTun.open(Place.TUN), Place.MTU);
        ear.until(TunProxyState.ONLINE);
        Place.echo(1000);
        Check.that(
            method.equals("onLog") || ear.logged("the listener's " + method + " threw"),
            "told: " + ear.log);
      }
    }
  }

  private static java.util.List<Supplier<? extends RuntimeException>> kinds() {
    return java.util.List.of(
        () -> new IllegalStateException("made up"), ThrowingTest::overflow);
  }

  private static void refused(String method, int reason) throws Exception {
    for (Supplier<? extends RuntimeException> thrown : kinds()) {
      Bad ear = new Bad(method, thrown);
      try (TunProxy tunnel = new TunProxy(ear)) {
        tunnel.configure(fresh());
        tunnel.start(LinuxTun.open(Place.TUN), Place.MTU);
        Check.until(() -> ear.logged("the listener's " + method + " threw"), "told: " + ear.log);
        ear.until(TunProxyState.FAILED);
        Check.that(ear.reason == reason, method + " is a refusal: " + ear.log);
        tunnel.stop(60_000);
      }
    }
  }

  /** A host key that no earlier case has made known. */
  private static TunProxyConfig fresh() {
    return Place.byName()
        .set("known-hosts", Place.of("known_hosts_to_fill") + "." + System.nanoTime());
  }
}
