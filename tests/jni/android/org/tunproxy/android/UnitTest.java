package org.tunproxy.android;

import android.content.ComponentCallbacks2;
import android.content.pm.PackageManager;
import android.net.ConnectivityManager;
import android.net.LinkProperties;
import android.net.Network;
import android.net.VpnService;
import android.os.Build;
import android.test.Device;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.tunproxy.TunProxy.MemoryPressure;
import org.tunproxy.TunProxyConfig;
import org.tunproxy.TunProxyListener;

/** The parts of the Android service that need no tunnel, over stubs of the platform's classes. */
public final class UnitTest {
  private static final long LONG_MILLIS = 100_000;

  private UnitTest() {}

  public static void main(String[] arguments) throws Exception {
    everythingGoesIn();
    settingsAreChecked();
    appsAndBlocks();
    bestNetwork();
    firstNetworkIsWaitedFor();
    memory();
    listener();
    System.out.println("passed on API level " + Build.VERSION.SDK_INT);
  }

  static void that(boolean good, String what) {
    if (!good) {
      throw new AssertionError(what);
    }
  }

  interface Call {
    void run() throws Exception;
  }

  static void refused(Call call) throws Exception {
    try {
      call.run();
    } catch (IllegalArgumentException | IllegalStateException expected) {
      that(expected.getMessage().length() > 10, "a refusal without words");
      return;
    }
    throw new AssertionError("not refused");
  }

  private static TunnelSettings settings() {
    return new TunnelSettings("test", new TunProxyConfig());
  }

  private static List<String> described(TunnelSettings settings, Network network)
      throws PackageManager.NameNotFoundException {
    VpnService.Builder builder = new VpnService().new Builder();
    that(TunnelInterface.describe(builder, settings, network) == builder, "the same builder");
    return builder.told;
  }

  /** Routes of both families, and resolvers that lie behind them: else traffic would leak. */
  private static void everythingGoesIn() throws Exception {
    List<String> told = described(settings(), null);
    List<String> wanted =
        Arrays.asList(
            "session test",
            "mtu 1500",
            "address 10.111.222.1/30",
            "address fd74:756e:7072:6f78::1/126",
            "route 0.0.0.0/0",
            "route ::/0",
            "dns 10.111.222.2",
            "dns fd74:756e:7072:6f78::2");
    that(told.containsAll(wanted), "described: " + told);
    that(told.stream().noneMatch(what -> what.matches("(exclude|allowed|disallowed).*")), "" + told);
    that(told.contains("metered false") == (Build.VERSION.SDK_INT >= 29), "metered from 29 on");
    that(told.stream().noneMatch(what -> what.startsWith("underlying")), "the system's default");
    that(described(settings(), new Network(null)).contains("underlying 1"), "the one below");
  }

  private static void settingsAreChecked() throws Exception {
    refused(() -> settings().mtu(1279));
    refused(() -> settings().mtu(65536));
    for (String bad :
        new String[] {
          "10.0.0.0", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/0", "::/0", "fd00::/129",
          "example.org/8", "10.0.0.0/8/8", "10.0.0.256/8", "10.0.0.0/-1", ""
        }) {
      refused(() -> settings().exclude(bad));
    }
    TunnelSettings full = settings();
    for (int i = 0; i < TunnelSettings.MAX_ROUTES; i++) {
      full.exclude("10." + i / 256 + "." + i % 256 + ".0/24");
    }
    refused(() -> full.exclude("fd00::/8"));
    refused(() -> settings().allowApp("a").disallowApp("b"));
    refused(() -> settings().disallowApp("a").allowApp("b"));
    that(!settings().leavesSomethingOut(), "nothing is left out");
    that(settings().exclude("fd00::/8").leavesSomethingOut(), "a block is left out");
    that(settings().allowApp("a").leavesSomethingOut(), "all other apps are left out");
  }

  private static void appsAndBlocks() throws Exception {
    List<String> told = described(settings().allowApp("one").allowApp("two").mtu(1280), null);
    that(told.containsAll(Arrays.asList("allowed one", "allowed two", "mtu 1280")), "" + told);
    told = described(settings().disallowApp("three"), null);
    that(told.contains("disallowed three"), "" + told);
    try {
      described(settings().allowApp("missing"), null);
      throw new AssertionError("an app that is not there");
    } catch (PackageManager.NameNotFoundException expected) {
      that(expected.getMessage().equals("missing"), "it is named");
    }
    TunnelSettings some = settings().exclude("10.0.0.0/8").exclude("fd00::/8");
    if (Build.VERSION.SDK_INT < 33) {
      refused(() -> described(some, null));
      return;
    }
    told = described(some, null);
    that(told.contains("exclude 10.0.0.0/8"), "" + told);
    that(told.contains("exclude fd00:0:0:0:0:0:0:0/8"), "" + told);
  }

  private static void bestNetwork() {
    ConnectivityManager system = new ConnectivityManager();
    List<Network> heard = new ArrayList<>();
    UnderlyingNetwork network = new UnderlyingNetwork(system, heard::add);
    network.watch();
    int level = Build.VERSION.SDK_INT;
    String way = level >= 31 ? "best" : level >= 28 ? "request" : "default";
    that(system.way.equals(way), system.way);
    Network wifi = new Network("192.0.2.1");
    Network mobile = new Network("192.0.2.2");
    LinkProperties first = new LinkProperties();
    system.callback.onAvailable(mobile);
    system.callback.onLinkPropertiesChanged(mobile, first);
    that(heard.equals(Arrays.asList(mobile)), "the first properties are no change");
    system.callback.onLinkPropertiesChanged(mobile, first);
    that(heard.size() == 1, "the same ones are no change");
    system.callback.onLinkPropertiesChanged(mobile, new LinkProperties());
    that(heard.size() == 2, "others are one");
    system.callback.onAvailable(wifi);
    that(network.current() == wifi, "the better one");
    system.callback.onLost(mobile);
    that(network.current() == wifi && heard.size() == 3, "the worse one is nobody's loss");
    system.callback.onLinkPropertiesChanged(mobile, new LinkProperties());
    that(heard.size() == 3, "what becomes of it neither");
    system.callback.onLost(wifi);
    that(network.current() == null && heard.get(3) == null, "none at all");
    network.forget();
    that(system.callback == null, "forgotten");
  }

  private static void firstNetworkIsWaitedFor() throws Exception {
    ConnectivityManager system = new ConnectivityManager();
    UnderlyingNetwork network = new UnderlyingNetwork(system, ignored -> {});
    network.watch();
    that(network.await(1) == null, "none comes");
    Network late = new Network("192.0.2.1");
    Thread other = new Thread(() -> system.callback.onAvailable(late));
    other.start();
    that(network.await(LONG_MILLIS) == late, "the first one that comes");
    other.join();
    Thread.currentThread().interrupt();
    that(network.await(LONG_MILLIS) == late && Thread.interrupted(), "there is one");
  }

  private static void memory() throws Exception {
    that(pressure(ComponentCallbacks2.TRIM_MEMORY_UI_HIDDEN) == MemoryPressure.NONE, "hidden");
    that(pressure(ComponentCallbacks2.TRIM_MEMORY_BACKGROUND) == MemoryPressure.NONE, "behind");
    that(pressure(ComponentCallbacks2.TRIM_MEMORY_RUNNING_LOW) == MemoryPressure.MODERATE, "low");
    that(pressure(ComponentCallbacks2.TRIM_MEMORY_COMPLETE) == MemoryPressure.CRITICAL, "gone");
    that(
        pressure(ComponentCallbacks2.TRIM_MEMORY_RUNNING_CRITICAL) == MemoryPressure.CRITICAL,
        "critical");
    LinkedBlockingQueue<MemoryPressure> heard = new LinkedBlockingQueue<>();
    ScheduledExecutorService worker = Executors.newSingleThreadScheduledExecutor();
    MemoryWatch watch = new MemoryWatch(worker, heard::add);
    watch.onTrim(ComponentCallbacks2.TRIM_MEMORY_UI_HIDDEN);
    that(heard.isEmpty(), "nothing is short");
    watch.pressed(MemoryPressure.CRITICAL, LONG_MILLIS);
    watch.pressed(MemoryPressure.MODERATE, 1);
    that(heard.poll() == MemoryPressure.CRITICAL, "at once");
    that(heard.poll() == MemoryPressure.MODERATE, "at once");
    that(heard.poll(LONG_MILLIS, TimeUnit.MILLISECONDS) == MemoryPressure.NONE, "and relief");
    for (Runnable left : worker.shutdownNow()) {
      that(((Future<?>) left).isCancelled(), "the first one's relief is of no use any more");
    }
    watch.pressed(MemoryPressure.MODERATE, 1);
    that(heard.poll() == MemoryPressure.MODERATE, "also after the end");
  }

  private static MemoryPressure pressure(int level) {
    return MemoryWatch.pressure(level);
  }

  private static void listener() {
    Device.now = new Device();
    List<Integer> protectedSockets = new ArrayList<>();
    Device.now.protect = socket -> protectedSockets.add(socket) && socket != 5;
    Device.now.owner = protocol -> 10_000 + protocol;
    UnderlyingNetwork network = new UnderlyingNetwork(Device.now.connectivity, ignored -> {});
    network.watch();
    TunProxyListener ears =
        new ServiceListener(
            new VpnService(), network, new TunProxyListener() {}, (state, reason) -> {});
    that(ears.onProtect(4) && !ears.onProtect(5), "the system decides");
    that(protectedSockets.equals(Arrays.asList(4, 5)), "every socket");
    Device.now.connectivity.callback.onAvailable(new Network("2001:db8::1"));
    that(Arrays.equals(ears.onResolve("x"), new String[] {"2001:db8:0:0:0:0:0:1"}), "by it");
    Device.now.connectivity.callback.onAvailable(new Network(null));
    that(ears.onResolve("x") == null, "an unknown name");
    int uid = ears.onFlowOwner(6, "10.0.0.1", 1, "192.0.2.1", 2);
    that(uid == (Build.VERSION.SDK_INT >= 29 ? 10_006 : -1), "owner " + uid);
    that(ears.onFlowOwner(17, "10.0.0.1", 1, "", 0) == -1, "of a flow without a target");
    Device.now.owner =
        protocol -> {
          throw new SecurityException("not the VPN any more");
        };
    that(ears.onFlowOwner(6, "10.0.0.1", 1, "192.0.2.1", 2) == -1, "after the end");
  }
}
