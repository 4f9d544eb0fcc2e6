package org.tunproxy.android;

import android.app.Notification;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.net.Network;
import android.test.Device;
import java.io.DataInputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import org.tunproxy.LinuxTun;
import org.tunproxy.TunProxyConfig;
import org.tunproxy.TunProxyListener;
import org.tunproxy.TunProxyState;

/**
 * The whole service over stubs of the platform's classes, but with a real TUN, a real tunnel and a real
 * sshd (tests/integration/scenarios_java.py).
 */
public final class ServiceTest {
  private static final int LIMIT_SECONDS = 100;
  private static final int SILENT_MILLIS = 60_000;
  private static final int MARK = 0x77;

  private ServiceTest() {}

  private static final class Service extends TunProxyVpnService {
    final List<String> heard = new CopyOnWriteArrayList<>();
    final List<Integer> sockets = new CopyOnWriteArrayList<>();
    volatile TunProxyState state;
    volatile int reason;
    volatile boolean blocking;
    volatile boolean blocked;
    volatile Callable<TunnelSettings> made = ServiceTest::settings;

    @Override
    protected TunnelSettings settings() {
      try {
        return made.call();
      } catch (Exception failure) {
        throw new IllegalStateException(failure);
      }
    }

    @Override
    protected Notification notification(TunProxyState shown) {
      return new Notification(shown.name());
    }

    @Override
    protected TunProxyListener listener() {
      return new TunProxyListener() {
        @Override
        public void onState(TunProxyState changed, int why, String text) {
          heard.add(changed + " " + why + " " + text);
          reason = why;
          state = changed;
        }

        @Override
        public void onLog(int level, String line) {
          heard.add(line);
          while (blocking) {
            blocked = true;
            Thread.yield();
          }
        }
      };
    }

    void until(TunProxyState wanted) throws Exception {
      ServiceTest.until(() -> state == wanted, wanted + ", not " + state + ": " + heard);
    }
  }

  public static void main(String[] arguments) {
    try {
      life();
      retries();
      failsForGood();
      newSettings();
      refusals();
      blockedListener();
      lockdown();
      System.out.println("passed");
    } catch (Throwable failure) {
      failure.printStackTrace();
      System.exit(1); // services that are left would keep the machine
    }
  }

  private static void until(Callable<Boolean> condition, String what) throws Exception {
    long deadline = System.nanoTime() + LIMIT_SECONDS * 1_000_000_000L;
    while (!condition.call()) {
      UnitTest.that(System.nanoTime() < deadline, "waited in vain: " + what);
      Thread.sleep(5);
    }
  }

  private static TunProxyConfig config() throws IOException {
    return config(System.getProperty("place.known_hosts_by_name"));
  }

  private static TunProxyConfig config(String knownHosts) throws IOException {
    return new TunProxyConfig()
        .set("ssh", "root@server.test")
        .set("host-key-policy", "strict")
        .set("known-hosts", knownHosts)
        .secret("private-key", Files.readAllBytes(Path.of(System.getProperty("place.key"))));
  }

  private static TunnelSettings settings() throws IOException {
    return new TunnelSettings("test", config());
  }

  private static Service created() {
    Device.now = new Device();
    Service service = new Service();
    Device.now.openTun =
        () -> {
          try {
            return LinuxTun.open("jtun0");
          } catch (org.tunproxy.TunProxyException failure) {
            throw new IllegalStateException(failure);
          }
        };
    Device.now.protect = socket -> service.sockets.add(socket) && LinuxTun.mark(socket, MARK);
    service.onCreate();
    return service;
  }

  private static void network() {
    Device.now.connectivity.callback.onAvailable(new Network("10.77.1.1"));
  }

  private static void echo() throws IOException {
    byte[] sent = "through the device".getBytes(java.nio.charset.StandardCharsets.US_ASCII);
    byte[] back = new byte[sent.length];
    try (Socket socket = new Socket()) {
      socket.setSoTimeout(SILENT_MILLIS);
      socket.connect(new InetSocketAddress("203.0.113.1", 7001), SILENT_MILLIS);
      socket.getOutputStream().write(sent);
      new DataInputStream(socket.getInputStream()).readFully(back);
    }
    UnitTest.that(java.util.Arrays.equals(sent, back), "the echo is another one");
  }

  private static void gone(Service service) throws Exception {
    until(() -> Device.now.stopped && !Device.now.foreground, "the service stops itself");
    UnitTest.that(Device.now.interfaces == 0, "an interface is left");
    service.onDestroy();
    UnitTest.that(Device.now.receivers.isEmpty(), "a receiver is left");
    UnitTest.that(Device.now.connectivity.callback == null, "a network callback is left");
  }

  private static void stop(Service service) throws Exception {
    service.onStartCommand(new Intent(TunProxyVpnService.ACTION_STOP), 0, 2);
    gone(service);
  }

  /** At boot: started by the system, and the network comes later than the tunnel wants it. */
  private static void life() throws Exception {
    Service service = created();
    int answer = service.onStartCommand(null, 0, 1);
    UnitTest.that(answer == android.app.Service.START_STICKY, "started again when it is killed");
    UnitTest.that(Device.now.foreground, "in the foreground at once");
    until(() -> Device.now.interfaces == 1, "the interface comes before the network");
    network();
    service.until(TunProxyState.ONLINE);
    UnitTest.that(!service.sockets.isEmpty(), "sockets are protected");
    echo();
    until(() -> shown("ONLINE"), "the notification tells");
    service.onStartCommand(null, 0, 2);
    UnitTest.that(shown("ONLINE"), "and is not taken back by another start");
    Device.now.power.idle = true;
    Device.now.receivers.get(0).onReceive(service, null);
    Device.now.power.idle = false;
    Device.now.receivers.get(0).onReceive(service, null);
    service.onTrimMemory(android.content.ComponentCallbacks2.TRIM_MEMORY_COMPLETE);
    Network lost = new Network("10.77.1.1");
    Device.now.connectivity.callback.onAvailable(lost);
    Device.now.connectivity.callback.onLost(lost);
    UnitTest.that(Device.now.underlying.length == 0, "no network below is told as none");
    network();
    UnitTest.that(Device.now.underlying.length == 1, "the network below is told");
    echo();
    UnitTest.that(Device.now.established.size() == 1, "all over one interface");
    stop(service);
  }

  private static boolean shown(String state) {
    List<Notification> all = Device.now.notifications;
    return all.get(all.size() - 1).text.equals(state);
  }

  /** What may pass is tried again, at once on another network, and the interface stays meanwhile. */
  private static void retries() throws Exception {
    Service service = created();
    Device.now.connectivity.callback.onAvailable(new Network(null)); // knows no names
    service.onStartCommand(null, 0, 1);
    service.until(TunProxyState.FAILED);
    UnitTest.that(service.reason == org.tunproxy.TunProxyException.UNREACHABLE, "unreachable");
    UnitTest.that(Device.now.interfaces == 1, "the interface stays");
    network();
    service.until(TunProxyState.ONLINE);
    echo();
    UnitTest.that(Device.now.established.size() == 1, "it is the same one");
    service.onRevoke();
    gone(service);
  }

  /** What the user has to put right is not tried again, but when he asks for it. */
  private static void failsForGood() throws Exception {
    Service service = created();
    Path hosts = Files.createTempFile("known_hosts", "");
    service.made = () -> new TunnelSettings("test", config(hosts.toString()));
    network();
    service.onStartCommand(null, 0, 1);
    service.until(TunProxyState.FAILED);
    UnitTest.that(service.reason == org.tunproxy.TunProxyException.HOST_KEY, service.heard + "");
    UnitTest.that(!TunnelRun.mayPass(service.reason), "the user is asked");
    UnitTest.that(Device.now.interfaces == 1, "nothing goes round it");
    Files.copy(
        Path.of(System.getProperty("place.known_hosts_by_name")),
        hosts,
        java.nio.file.StandardCopyOption.REPLACE_EXISTING);
    service.onStartCommand(null, 0, 2);
    service.until(TunProxyState.ONLINE);
    echo();
    stop(service);
    Files.delete(hosts);
  }

  /** A start after a failure goes by the settings of now, and the interface is there all the time. */
  private static void newSettings() throws Exception {
    Service service = created();
    service.made =
        () -> new TunnelSettings("test", config().set("known-hosts", "").set("host-key-policy", "strict"));
    network();
    service.onStartCommand(null, 0, 1);
    service.until(TunProxyState.FAILED);
    service.made = () -> new TunnelSettings("test", config().set("no-such-key", "1"));
    service.onStartCommand(null, 0, 2);
    until(() -> service.heard.toString().contains("no-such-key"), "it is told");
    UnitTest.that(Device.now.interfaces == 1, "nothing goes round it");
    service.made = ServiceTest::settings;
    service.onStartCommand(null, 0, 3);
    service.until(TunProxyState.ONLINE);
    until(() -> Device.now.interfaces == 1, "one interface");
    UnitTest.that(Device.now.established.size() == 2, "it came before the other went");
    echo();
    stop(service);
  }

  private static void refusals() throws Exception {
    Service unprepared = created();
    Device.now.prepared = false;
    refused(unprepared, "VpnService.prepare()");
    Service misconfigured = created();
    misconfigured.made = () -> new TunnelSettings("test", config().set("no-such-key", "1"));
    refused(misconfigured, "no-such-key");
    Service withoutApp = created();
    withoutApp.made = () -> settings().allowApp("missing.app");
    refused(withoutApp, "missing.app");
    Service broken = created();
    broken.made =
        () -> {
          throw new IOException("the app's own trouble");
        };
    refused(broken, "the app's own trouble");
  }

  private static void refused(Service service, String why) throws Exception {
    service.onStartCommand(null, 0, 1);
    service.until(TunProxyState.FAILED);
    UnitTest.that(service.heard.toString().contains(why), service.heard.toString());
    gone(service);
  }

  /** A listener of the app that does not return holds up neither the service's end nor the next one. */
  private static void blockedListener() throws Exception {
    Service service = created();
    service.made = () -> new TunnelSettings("test", config().set("log-level", "debug"));
    network();
    service.onStartCommand(null, 0, 1);
    service.until(TunProxyState.ONLINE);
    service.blocking = true;
    try (Socket flow = new Socket()) {
      flow.connect(new InetSocketAddress("203.0.113.1", 7001), 1000); // is logged
    } catch (IOException ended) {
      // The tunnel stands still.
    }
    until(() -> service.blocked, "the listener blocks");
    stop(service);
    UnitTest.that(service.blocking, "it still does");
    service.blocking = false;
    until(() -> Thread.getAllStackTraces().keySet().stream()
        .noneMatch(thread -> thread.getName().equals("tunproxy-close")), "it ends in the end");
  }

  private static void lockdown() throws Exception {
    Service service = created();
    Device.now.alwaysOn = true;
    Device.now.lockdown = true;
    service.made = () -> settings().disallowApp("some.app");
    network();
    service.onStartCommand(new Intent("android.net.VpnService"), 0, 1);
    service.until(TunProxyState.ONLINE);
    UnitTest.that(service.alwaysOn() && service.lockdown(), "it knows");
    UnitTest.that(service.heard.get(0).contains("left out"), service.heard.toString());
    UnitTest.that(
        Device.now.established.get(0).told.contains("disallowed some.app"), "as it is told");
    stop(service);
  }
}
