package org.tunproxy.android;

import android.app.Notification;
import android.app.NotificationManager;
import android.content.BroadcastReceiver;
import android.content.Context;
import android.content.Intent;
import android.content.IntentFilter;
import android.content.pm.PackageManager;
import android.content.pm.ServiceInfo;
import android.net.ConnectivityManager;
import android.net.Network;
import android.net.VpnService;
import android.os.Build;
import android.os.ParcelFileDescriptor;
import android.os.PowerManager;
import java.io.IOException;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import org.tunproxy.TunProxy;
import org.tunproxy.TunProxyException;
import org.tunproxy.TunProxyListener;
import org.tunproxy.TunProxyState;

/**
 * A VpnService that carries its traffic through a tunnel. An app extends it, says what to establish ({@link
 * #settings}) and shows a notification ({@link #notification}); it is started by {@code startForegroundService}
 * after {@code VpnService.prepare}, or by the system where the VPN is always on.
 *
 * <p>The interface stays up while the tunnel reconnects and when it has failed, so that nothing goes round it.
 * A failure that may pass (no network, no server) is tried again after growing pauses, and at once on another
 * network; a refused host key or login waits for the user, who puts it right and starts the service again. Each such start
 * asks for {@link #settings} anew. The
 * interface is gone after {@link #ACTION_STOP}, {@link #onRevoke} or the end of the service. There is no loopback
 * listener unless the configuration asks for one: any app could use it.
 */
public abstract class TunProxyVpnService extends VpnService {
  /**
   * The action of an intent that stops the tunnel. Where the user keeps the VPN always on the system starts
   * it again, and in lockdown there is no network meanwhile.
   */
  public static final String ACTION_STOP = "org.tunproxy.android.STOP";

  private final ScheduledExecutorService worker = Executors.newSingleThreadScheduledExecutor();
  private final MemoryWatch memory =
      new MemoryWatch(worker, pressure -> tell(tunnel -> tunnel.memoryPressure(pressure)));
  private UnderlyingNetwork network; // from onCreate() to onDestroy()
  private volatile TunnelRun run; // changed by the worker only
  private volatile TunProxyState state = TunProxyState.CONNECTING; // of it

  private final BroadcastReceiver idle =
      new BroadcastReceiver() {
        @Override
        public void onReceive(Context context, Intent intent) {
          boolean sleeps = getSystemService(PowerManager.class).isDeviceIdleMode();
          tell(sleeps ? TunProxy::pause : TunProxy::wake);
        }
      };

  /**
   * What to establish; asked for each start where no tunnel runs: the app's, or the system's for an always-on
   * VPN. What the app changes meanwhile counts from {@link #ACTION_STOP} and another start on.
   */
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
    TunnelRun running = run;
    return running == null ? null : running.tunnel();
  }

  /** The user keeps this VPN always on (known from Android 10 on). */
  protected final boolean alwaysOn() {
    return Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q && isAlwaysOn();
  }

  /** The user allows no connection without this VPN (known from Android 10 on). */
  protected final boolean lockdown() {
    return Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q && isLockdownEnabled();
  }

  @Override
  public void onCreate() {
    super.onCreate();
    network = new UnderlyingNetwork(getSystemService(ConnectivityManager.class), this::onNetwork);
    network.watch();
    registerReceiver(idle, new IntentFilter(PowerManager.ACTION_DEVICE_IDLE_MODE_CHANGED));
  }

  @Override
  public int onStartCommand(Intent intent, int flags, int startId) {
    showNotification();
    boolean stop = intent != null && ACTION_STOP.equals(intent.getAction());
    inWorker(stop ? this::stopTunnel : this::startTunnel);
    return stop ? START_NOT_STICKY : START_STICKY;
  }

  @Override
  public void onRevoke() {
    inWorker(this::stopTunnel);
  }

  @Override
  public void onDestroy() {
    network.forget();
    memory.forget();
    unregisterReceiver(idle);
    inWorker(this::endTunnel);
    worker.shutdown();
    super.onDestroy();
  }

  @Override
  public void onTrimMemory(int level) {
    memory.onTrim(level);
  }

  private void startTunnel() {
    TunnelRun former = run;
    if (former != null && !former.stands()) {
      return;
    }
    TunProxyListener app = listener();
    try {
      TunnelSettings settings = settings();
      warnInLockdown(settings, app);
      if (former != null) {
        former.stop();
      }
      TunnelRun starting = new TunnelRun(worker, this::establish, settings);
      run = starting;
      starting.begin(
          new ServiceListener(
              this, network, app, (changed, reason) -> onState(starting, changed, reason)));
      if (former != null) {
        former.end(); // only now, so that there is always an interface
      }
    } catch (TunProxyException
        | PackageManager.NameNotFoundException
        | IOException
        | RuntimeException failure) {
      int reason =
          failure instanceof TunProxyException
              ? ((TunProxyException) failure).result()
              : TunProxyException.OTHER;
      run = former;
      app.onState(TunProxyState.FAILED, reason, String.valueOf(failure.getMessage()));
      if (former == null) {
        stopTunnel();
      }
    }
  }

  private void warnInLockdown(TunnelSettings settings, TunProxyListener app) {
    if (lockdown() && settings.leavesSomethingOut()) {
      app.onLog(
          TunProxyListener.LOG_WARN,
          "the device allows no connection without the VPN: apps and blocks that are left out of it"
              + " have no network");
    }
  }

  private ParcelFileDescriptor establish(TunnelSettings settings)
      throws PackageManager.NameNotFoundException {
    return TunnelInterface.describe(new Builder(), settings, network.current()).establish();
  }

  private void stopTunnel() {
    endTunnel();
    state = TunProxyState.CONNECTING; // of the next one
    stopForeground(STOP_FOREGROUND_REMOVE);
    stopSelf();
  }

  private void endTunnel() {
    TunnelRun ending = run;
    run = null;
    if (ending != null) {
      ending.end();
    }
  }

  private void showNotification() {
    Notification shown = notification(state);
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.UPSIDE_DOWN_CAKE) {
      startForeground(
          notificationId(), shown, ServiceInfo.FOREGROUND_SERVICE_TYPE_SYSTEM_EXEMPTED);
    } else {
      startForeground(notificationId(), shown);
    }
  }

  // From the tunnel's thread.
  private void onState(TunnelRun from, TunProxyState changed, int reason) {
    from.onState(changed, reason);
    inWorker(
        () -> {
          if (run == from) { // else the notification is gone, and stays so
            state = changed;
            getSystemService(NotificationManager.class)
                .notify(notificationId(), notification(changed));
          }
        });
  }

  private void onNetwork(Network below) {
    // None at all: without this the system would take its default for what is below.
    setUnderlyingNetworks(below == null ? new Network[0] : new Network[] {below});
    inWorker(
        () -> {
          TunnelRun running = run;
          if (running != null && below != null) {
            running.networkChanged();
          }
        });
  }

  private void tell(TunnelRun.Order order) {
    TunnelRun running = run;
    if (running != null) {
      running.tell(order);
    }
  }

  private void inWorker(Runnable task) {
    try {
      worker.execute(task);
    } catch (RejectedExecutionException ended) {
      // After onDestroy() nothing is to be done any more.
    }
  }
}
