package org.tunproxy.android;

import android.app.Notification;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.content.pm.ServiceInfo;
import android.net.ConnectivityManager;
import android.net.IpPrefix;
import android.net.LinkProperties;
import android.net.Network;
import android.net.NetworkCapabilities;
import android.net.NetworkRequest;
import android.net.VpnService;
import android.os.Build;
import android.os.ParcelFileDescriptor;
import android.os.PowerManager;
import android.system.OsConstants;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.tunproxy.TunProxy;
import org.tunproxy.TunProxyException;
import org.tunproxy.TunProxyListener;
import org.tunproxy.TunProxyState;

/**
 * A VpnService that carries its traffic through a tunnel. An app extends it, says what to establish ({@link
 * #settings}) and shows a notification ({@link #notification}); it is started by {@code startForegroundService}
 * after {@code VpnService.prepare}, or by the system where the VPN is always on.
 *
 * <p>The interface stays up while the tunnel reconnects and when it has failed, so that nothing goes round it;
 * it is gone after {@link #ACTION_STOP}, {@link #onRevoke} or the end of the service. There is no loopback listener:
 * any app could use it.
 */
public abstract class TunProxyVpnService extends VpnService {
  /** The action of an intent that stops the tunnel. */
  public static final String ACTION_STOP = "org.tunproxy.android.STOP";

  private static final String ADDRESS = "10.111.222.1";
  private static final String ADDRESS6 = "fd74:756e:7072:6f78::1";
  private static final String RESOLVER = "10.111.222.2";
  private static final String RESOLVER6 = "fd74:756e:7072:6f78::2";
  private static final int STOP_MILLIS = 5000;

  // Starting and stopping wait for threads of the tunnel: never in the main thread.
  private final ExecutorService worker = Executors.newSingleThreadExecutor();
  private final NetworkWatch networkWatch = new NetworkWatch();
  private volatile TunProxy tunnel;
  private volatile Network underlying;
  private boolean watching;

  /** What to establish; called for each start, and by the system for an always-on VPN. */
  protected abstract TunnelSettings settings();

  /** Shown while the service runs; {@code state} is the tunnel's. */
  protected abstract Notification notification(TunProxyState state);

  /** The id of {@link #notification}. */
  protected int notificationId() {
    return 1;
  }

  /** Hears of the tunnel as {@link TunProxyListener} does; sockets and names are the service's own business. */
  protected TunProxyListener listener() {
    return new TunProxyListener() {};
  }

  /** The tunnel, for its counters and flows; null while there is none. */
  protected final TunProxy tunnel() {
    return tunnel;
  }

  @Override
  public int onStartCommand(Intent intent, int flags, int startId) {
    showNotification(TunProxyState.CONNECTING);
    boolean stop = intent != null && ACTION_STOP.equals(intent.getAction());
    worker.execute(stop ? this::stopTunnel : this::startTunnel);
    return stop ? START_NOT_STICKY : START_STICKY;
  }

  @Override
  public void onRevoke() {
    worker.execute(this::stopTunnel);
  }

  @Override
  public void onDestroy() {
    worker.execute(this::closeTunnel);
    worker.shutdown();
    super.onDestroy();
  }

  @Override
  public void onTrimMemory(int level) {
    TunProxy running = tunnel;
    if (running == null) {
      return;
    }
    try {
      running.memoryPressure(
          level >= TRIM_MEMORY_RUNNING_CRITICAL
              ? TunProxy.MemoryPressure.CRITICAL
              : TunProxy.MemoryPressure.MODERATE);
    } catch (TunProxyException notRunning) {
      // There is nothing to make smaller.
    }
  }

  private void startTunnel() {
    if (tunnel != null) {
      return;
    }
    TunnelSettings settings = settings();
    TunProxy starting = null;
    try {
      watchNetworks();
      starting = new TunProxy(new Ears(listener()));
      starting.configure(settings.config);
      settings.config.wipe();
      establish(settings, starting);
      tunnel = starting;
    } catch (TunProxyException
        | PackageManager.NameNotFoundException
        | IllegalStateException
        | IllegalArgumentException failure) {
      listener().onState(TunProxyState.FAILED, 13, String.valueOf(failure.getMessage()));
      close(starting);
      stopTunnel();
    }
  }

  private void establish(TunnelSettings settings, TunProxy starting)
      throws TunProxyException, PackageManager.NameNotFoundException {
    ParcelFileDescriptor device = builder(settings).establish();
    if (device == null) {
      throw new IllegalStateException("the VPN is not prepared: VpnService.prepare() first");
    }
    int fd = device.detachFd();
    try {
      starting.start(fd, settings.mtu);
    } catch (TunProxyException failure) {
      closeQuietly(fd);
      throw failure;
    }
  }

  private static void closeQuietly(int fd) {
    try {
      ParcelFileDescriptor.adoptFd(fd).close();
    } catch (java.io.IOException ignored) {
      // It is closed all the same.
    }
  }

  // Addresses, routes and resolvers of both families: without any of them traffic would leak.
  private Builder builder(TunnelSettings settings) throws PackageManager.NameNotFoundException {
    Builder builder =
        new Builder()
            .setSession(settings.session)
            .setMtu(settings.mtu)
            .addAddress(ADDRESS, 30)
            .addAddress(ADDRESS6, 126)
            .addRoute("0.0.0.0", 0)
            .addRoute("::", 0)
            .addDnsServer(RESOLVER)
            .addDnsServer(RESOLVER6);
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) {
      builder.setMetered(settings.metered);
    }
    if (underlying != null) {
      builder.setUnderlyingNetworks(new Network[] {underlying});
    }
    for (TunnelSettings.Block block : settings.excludedBlocks()) {
      exclude(builder, block);
    }
    for (String app : settings.allowedApps) {
      builder.addAllowedApplication(app);
    }
    for (String app : settings.disallowedApps) {
      builder.addDisallowedApplication(app);
    }
    return builder;
  }

  private static void exclude(Builder builder, TunnelSettings.Block block) {
    if (Build.VERSION.SDK_INT < Build.VERSION_CODES.TIRAMISU) {
      throw new IllegalStateException("blocks can be left out of the tunnel from Android 13 on");
    }
    try {
      builder.excludeRoute(new IpPrefix(InetAddress.getByName(block.address), block.length));
    } catch (UnknownHostException impossible) {
      throw new IllegalArgumentException(block.address + " is no address", impossible);
    }
  }

  private void stopTunnel() {
    closeTunnel();
    stopForeground(STOP_FOREGROUND_REMOVE);
    stopSelf();
  }

  private void closeTunnel() {
    TunProxy ending = tunnel;
    tunnel = null;
    close(ending);
    if (watching) {
      watching = false;
      connectivity().unregisterNetworkCallback(networkWatch);
      unregisterReceiver(networkWatch.idle);
    }
  }

  private static void close(TunProxy ending) {
    if (ending == null) {
      return;
    }
    try {
      ending.stop(STOP_MILLIS);
      ending.close();
    } catch (TunProxyException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  private void showNotification(TunProxyState state) {
    Notification shown = notification(state);
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.UPSIDE_DOWN_CAKE) {
      startForeground(
          notificationId(), shown, ServiceInfo.FOREGROUND_SERVICE_TYPE_SYSTEM_EXEMPTED);
    } else {
      startForeground(notificationId(), shown);
    }
  }

  private ConnectivityManager connectivity() {
    return getSystemService(ConnectivityManager.class);
  }

  private void watchNetworks() {
    if (watching) {
      return;
    }
    watching = true;
    NetworkRequest below =
        new NetworkRequest.Builder()
            .addCapability(NetworkCapabilities.NET_CAPABILITY_INTERNET)
            .addCapability(NetworkCapabilities.NET_CAPABILITY_NOT_VPN)
            .build();
    connectivity().registerNetworkCallback(below, networkWatch);
    registerReceiver(
        networkWatch.idle,
        new android.content.IntentFilter(PowerManager.ACTION_DEVICE_IDLE_MODE_CHANGED));
  }

  private interface Order {
    void to(TunProxy tunnel) throws TunProxyException;
  }

  private void tell(Order order) {
    TunProxy running = tunnel;
    if (running == null) {
      return;
    }
    try {
      order.to(running);
    } catch (TunProxyException notRunning) {
      // It is about to start, or has stopped.
    }
  }

  /** The networks below the tunnel, and the device's sleep. */
  private final class NetworkWatch extends ConnectivityManager.NetworkCallback {
    final android.content.BroadcastReceiver idle =
        new android.content.BroadcastReceiver() {
          @Override
          public void onReceive(android.content.Context context, Intent intent) {
            PowerManager power = getSystemService(PowerManager.class);
            tell(power.isDeviceIdleMode() ? TunProxy::pause : TunProxy::wake);
          }
        };

    @Override
    public void onAvailable(Network network) {
      use(network);
    }

    @Override
    public void onLinkPropertiesChanged(Network network, LinkProperties properties) {
      if (network.equals(underlying)) {
        tell(TunProxy::networkChanged);
      }
    }

    @Override
    public void onLost(Network network) {
      if (network.equals(underlying)) {
        use(null);
      }
    }

    private void use(Network network) {
      underlying = network;
      setUnderlyingNetworks(network == null ? null : new Network[] {network});
      tell(TunProxy::networkChanged);
    }
  }

  /** The app's listener, with the service's answers to what only it can do. */
  private final class Ears implements TunProxyListener {
    private final TunProxyListener app;

    Ears(TunProxyListener app) {
      this.app = app;
    }

    @Override
    public void onState(TunProxyState state, int reason, String text) {
      if (state != TunProxyState.STOPPED) {
        showNotification(state);
      }
      app.onState(state, reason, text);
    }

    @Override
    public void onLog(int level, String line) {
      app.onLog(level, line);
    }

    @Override
    public boolean onProtect(int fd) {
      return protect(fd);
    }

    @Override
    public void onVerifyHostKey(
        Question question, String host, String type, String fingerprint) {
      app.onVerifyHostKey(question, host, type, fingerprint);
    }

    @Override
    public void onAsk(Question question, String prompt, boolean echo) {
      app.onAsk(question, prompt, echo);
    }

    // The network below answers: in lockdown the tunnel's own look-up would wait for the tunnel.
    @Override
    public String[] onResolve(String name) {
      Network network = underlying;
      if (network == null) {
        return null;
      }
      try {
        InetAddress[] found = network.getAllByName(name);
        String[] texts = new String[found.length];
        for (int i = 0; i < found.length; i++) {
          texts[i] = found[i].getHostAddress();
        }
        return texts;
      } catch (UnknownHostException unknown) {
        return null;
      }
    }

    @Override
    public int onFlowOwner(
        int protocol, String localAddress, int localPort, String remoteAddress, int remotePort) {
      if (Build.VERSION.SDK_INT < Build.VERSION_CODES.Q || remoteAddress.isEmpty()) {
        return -1;
      }
      try {
        return connectivity()
            .getConnectionOwnerUid(
                protocol == 6 ? OsConstants.IPPROTO_TCP : OsConstants.IPPROTO_UDP,
                new InetSocketAddress(InetAddress.getByName(localAddress), localPort),
                new InetSocketAddress(InetAddress.getByName(remoteAddress), remotePort));
      } catch (UnknownHostException impossible) {
        return -1;
      }
    }
  }
}
