package org.tunproxy.test;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.tunproxy.LinuxTun;
import org.tunproxy.TunProxyHostKey;
import org.tunproxy.TunProxyListener;
import org.tunproxy.TunProxyState;

/** Notes what it hears, and answers as a good app does. */
class Ear implements TunProxyListener {
  final List<String> log = new CopyOnWriteArrayList<>();
  final List<String> questions = new CopyOnWriteArrayList<>();
  final List<String> keys = new CopyOnWriteArrayList<>(); // lines for known_hosts
  final List<String> names = new CopyOnWriteArrayList<>();
  final AtomicInteger sockets = new AtomicInteger();
  final AtomicInteger owners = new AtomicInteger();
  final AtomicInteger calls = new AtomicInteger();
  volatile TunProxyState state = TunProxyState.IDLE;
  volatile int reason;

  void until(TunProxyState wanted) throws Exception {
    Check.until(() -> state == wanted, wanted + ", not " + state + " " + reason + "\n" + log);
  }

  boolean logged(String words) {
    return log.stream().anyMatch(line -> line.contains(words));
  }

  @Override
  public void onState(TunProxyState changed, int why, String text) {
    calls.incrementAndGet();
    log.add("state " + changed + " " + why + " " + text);
    reason = why;
    state = changed;
  }

  @Override
  public void onLog(int level, String line) {
    calls.incrementAndGet();
    log.add(line);
  }

  @Override
  public boolean onProtect(int fd) {
    calls.incrementAndGet();
    sockets.incrementAndGet();
    return LinuxTun.mark(fd, Place.MARK);
  }

  @Override
  public void onVerifyHostKey(Question question, TunProxyHostKey key) {
    calls.incrementAndGet();
    questions.add(key.host + " " + key.type + " " + key.fingerprint);
    keys.add(key.line);
    question.answer("yes");
  }

  @Override
  public void onAsk(Question question, String prompt, boolean echo) {
    calls.incrementAndGet();
    questions.add(prompt + (echo ? " (shown)" : ""));
    question.answer(Place.PASSPHRASE.getBytes(java.nio.charset.StandardCharsets.UTF_8));
  }

  @Override
  public String[] onResolve(String name) {
    calls.incrementAndGet();
    names.add(name);
    return new String[] {Place.SERVER};
  }

  @Override
  public int onFlowOwner(
      int protocol, String localAddress, int localPort, String remoteAddress, int remotePort) {
    calls.incrementAndGet();
    owners.incrementAndGet();
    return 1000 + protocol;
  }
}
