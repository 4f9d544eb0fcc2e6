package org.tunproxy.test;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.tunproxy.LinuxTun;
import org.tunproxy.TunProxy;
import org.tunproxy.TunProxyConfig;
import org.tunproxy.TunProxyException;
import org.tunproxy.TunProxyFlow;
import org.tunproxy.TunProxyListener;
import org.tunproxy.TunProxyState;
import org.tunproxy.TunProxyStats;

/** A tunnel over a TUN: its whole life, and a hundred of them. */
final class TunnelTest {
  private static final int STOP_MILLIS = 60_000;
  private static final int WARM_UP_ROUNDS = 10;

  private TunnelTest() {}

  static void life() throws Exception {
    Ear ear = new Ear();
    TunProxyConfig config = Place.byName().set("rule", "direct 10.77.9.1");
    try (TunProxy tunnel = new TunProxy(ear)) {
      tunnel.configure(config);
      tunnel.start(LinuxTun.open(Place.TUN), Place.MTU);
      ear.until(TunProxyState.ONLINE);
      Check.that(ear.names.equals(Arrays.asList("server.test")), "looked up: " + ear.names);
      Check.that(ear.questions.get(0).startsWith("server.test ssh-ed25519 SHA256:"), "key");
      Check.that(ear.questions.get(1).startsWith("Passphrase"), "asked: " + ear.questions);
      traffic(tunnel, ear);
      sockets(ear);
      cutAndBack(tunnel, ear);
      orders(tunnel);
      tunnel.stop(STOP_MILLIS);
      tunnel.stop(STOP_MILLIS);
      Check.that(tunnel.stats().state == TunProxyState.STOPPED, "stopped");
      again(tunnel, ear);
    }
    keptKey(ear.keys.get(0));
    int calls = ear.calls.get();
    Thread.sleep(100);
    Check.that(ear.calls.get() == calls, "nothing is heard after close()");
  }

  private static void traffic(TunProxy tunnel, Ear ear) throws Exception {
    Place.echo(300_000);
    Check.that(Check.run("python3", Place.of("traffic"), "down", Place.TARGET, "3000000") != null, "");
    Check.that(Check.run("python3", Place.of("udp_traffic"), "echo", Place.TARGET, "1200") != null, "");
    String web = Check.run("curl", "-sS", "--max-time", "60", "http://web.test/");
    Check.that(web.contains("hello from the other side"), web);
    Check.that(ear.owners.get() > 0, "flows have owners");
    TunProxyStats stats = tunnel.stats();
    Check.that(stats.state == TunProxyState.ONLINE && stats.sessions >= 1, "stats: online");
    Check.that(stats.bytesDown >= 3_300_000 && stats.bytesUp >= 300_000, "stats: bytes");
    Check.that(stats.packetsIn > 0 && stats.packetsOut > 0 && stats.flows >= 4, "stats: flows");
    TunProxyFlow udp =
        Arrays.stream(tunnel.flows()).filter(flow -> flow.protocol == 17).findAny().orElseThrow();
    Check.that(udp.owner == 1017 && udp.source.startsWith("10.99.0.1:"), "flows: " + udp.source);
  }

  /** Each outer socket that there is carries the mark: one that was not protected could not connect. */
  private static void sockets(Ear ear) throws Exception {
    int before = ear.sockets.get();
    String direct = Check.run("curl", "-sS", "--max-time", "60", "http://10.77.9.1:8088/");
    Check.that(direct.equals("beside the tunnel"), direct);
    Check.that(ear.sockets.get() == before + 1, "a flow beside the tunnel is protected as well");
    String[] open = Check.run("ss", "-Htne", "dst", Place.SERVER).split("\n");
    for (String socket : open) {
      Check.that(socket.contains("fwmark:0x77"), "not protected: " + socket);
    }
    Check.that(open.length <= before, open.length + " sockets, " + before + " asked for");
  }

  private static void cutAndBack(TunProxy tunnel, Ear ear) throws Exception {
    int before = ear.sockets.get();
    Place.cut();
    Check.until(() -> ear.state != TunProxyState.ONLINE || tunnel.stats().reconnects > 0, "a cut");
    Place.echo(1000);
    ear.until(TunProxyState.ONLINE);
    Check.that(tunnel.stats().reconnects > 0, "a reconnect is counted");
    Check.that(ear.sockets.get() > before, "the next connection is protected as well");
  }

  private static void orders(TunProxy tunnel) throws Exception {
    tunnel.pause();
    tunnel.wake();
    tunnel.networkChanged();
    for (TunProxy.MemoryPressure pressure : TunProxy.MemoryPressure.values()) {
      tunnel.memoryPressure(pressure);
    }
    tunnel.memoryPressure(TunProxy.MemoryPressure.NONE);
    tunnel.reload();
    Place.echo(5000);
    expect(3, () -> tunnel.configure(new TunProxyConfig().set("mtu", "1400")));
  }

  private static void again(TunProxy tunnel, Ear ear) throws Exception {
    expect(3, tunnel::networkChanged);
    expect(2, () -> tunnel.configure(new TunProxyConfig().set("no-such-key", "1")));
    expect(1, () -> tunnel.start(-1, Place.MTU));
    int fd = LinuxTun.open(Place.TUN);
    expect(1, () -> tunnel.start(fd, 70_000));
    tunnel.start(fd, Place.MTU); // still ours after the failure
    ear.until(TunProxyState.ONLINE);
    Place.echo(1000);
  }

  /** The line of an accepted key answers for it where no file does. */
  private static void keptKey(String line) throws Exception {
    Ear ear = new Ear();
    try (TunProxy tunnel = new TunProxy(ear)) {
      tunnel.configure(
          Place.byAddress()
              .set("ssh", "root@server.test")
              .set("known-hosts", "")
              .set("known-host", line));
      tunnel.start(LinuxTun.open(Place.TUN), Place.MTU);
      ear.until(TunProxyState.ONLINE);
      Place.echo(1000);
    }
    Check.that(ear.questions.isEmpty(), "asked: " + ear.questions);
  }

  interface Call {
    void run() throws Exception;
  }

  static void expect(int result, Call call) throws Exception {
    try {
      call.run();
    } catch (TunProxyException failure) {
      Check.that(failure.result() == result, failure.result() + " " + failure.getMessage());
      Check.that(!failure.getMessage().isEmpty(), "a failure without a word");
      return;
    }
    throw new AssertionError("no failure, but " + result + " was expected");
  }

  static void cycles() throws Exception {
    int rounds = Place.number("rounds");
    long[] before = new long[3];
    for (int round = 0; round < rounds; round++) {
      if (round == WARM_UP_ROUNDS) {
        before = resources();
      }
      try (TunProxy tunnel = new TunProxy(new Ear())) {
        cycle(tunnel, round);
      }
    }
    long[] first = before;
    // Descriptors and threads of the machine and of finished commands go a little later.
    Check.until(() -> resources()[0] <= first[0], "descriptors: " + first[0] + " before");
    Check.until(() -> resources()[1] <= first[1], "threads: " + first[1] + " before");
    long grown = resources()[2] - first[2];
    System.out.println("memory grew by " + grown + " KiB in " + (rounds - WARM_UP_ROUNDS));
    Check.that(grown < Place.number("most_growth"), "memory grew by " + grown + " KiB");
  }

  private static void cycle(TunProxy tunnel, int round) throws Exception {
    tunnel.configure(Place.byAddress());
    tunnel.start(LinuxTun.open(Place.TUN), Place.MTU);
    if (round % 4 != 3) { // every fourth one is stopped while it connects
      Place.echo(20_000);
    }
    tunnel.stop(STOP_MILLIS);
  }

  /** Descriptors, threads, and KiB of memory. */
  private static long[] resources() throws Exception {
    System.gc();
    try (var descriptors = Files.list(Path.of("/proc/self/fd"));
        var threads = Files.list(Path.of("/proc/self/task"))) {
      return new long[] {descriptors.count(), threads.count(), residentKib()};
    }
  }

  private static long residentKib() throws Exception {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmRSS:")) {
        return Long.parseLong(line.replaceAll("\\D", ""));
      }
    }
    throw new AssertionError("no VmRSS");
  }

  /** Two ways to leave a tunnel behind: the machine stops it, and exits. */
  static void leave(boolean byExit) throws Exception {
    Ear ear = new Ear();
    TunProxy tunnel = new TunProxy(ear);
    tunnel.configure(Place.byName());
    tunnel.start(LinuxTun.open(Place.TUN), Place.MTU);
    ear.until(TunProxyState.ONLINE);
    Place.echo(1000);
    System.out.println("left behind");
    if (byExit) {
      System.exit(0);
    }
  }

  static TunProxyListener nothing() {
    return new TunProxyListener() {};
  }
}
