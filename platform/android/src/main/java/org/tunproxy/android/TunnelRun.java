package org.tunproxy.android;

import android.content.pm.PackageManager;
import android.os.ParcelFileDescriptor;
import java.io.IOException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.tunproxy.TunProxy;
import org.tunproxy.TunProxyConfig;
import org.tunproxy.TunProxyException;
import org.tunproxy.TunProxyListener;
import org.tunproxy.TunProxyState;

/**
 * A tunnel over an interface that outlives its failures: while it is tried again nothing goes round it. All but
 * {@link #tell} and {@link #onState} belongs to the worker's thread, because starting and stopping wait for
 * threads of the tunnel.
 */
final class TunnelRun {
  /** Makes the interface. */
  interface Establisher {
    /** Null: the VPN is not prepared. */
    ParcelFileDescriptor establish(TunnelSettings settings)
        throws PackageManager.NameNotFoundException;
  }

  /** A call of the tunnel. */
  interface Order {
    void to(TunProxy tunnel) throws TunProxyException;
  }

  static final long FIRST_PAUSE_MILLIS = 2000;
  static final long LONGEST_PAUSE_MILLIS = 120_000;
  private static final int STOP_MILLIS = 5000;

  private final ScheduledExecutorService worker;
  private final Establisher establisher;
  private final TunnelSettings settings;
  private volatile TunProxy tunnel; // null: before begin() and after end()
  private ParcelFileDescriptor device;
  private ScheduledFuture<?> retry;
  private long pause = FIRST_PAUSE_MILLIS;

  TunnelRun(ScheduledExecutorService worker, Establisher establisher, TunnelSettings settings) {
    this.worker = worker;
    this.establisher = establisher;
    this.settings = settings;
  }

  TunProxy tunnel() {
    return tunnel;
  }

  /** On failure there is nothing to end. */
  void begin(TunProxyListener listener)
      throws TunProxyException, PackageManager.NameNotFoundException, IOException {
    TunProxy made = new TunProxy(listener);
    boolean begun = false;
    try {
      made.configure(new TunProxyConfig().set("profile", "mobile")); // unless the app says otherwise
      made.configure(settings.config);
      establish();
      tunnel = made;
      start(made);
      begun = true;
    } finally {
      settings.config.wipe();
      if (!begun) {
        tunnel = made;
        end();
      }
    }
  }

  private void establish() throws PackageManager.NameNotFoundException {
    ParcelFileDescriptor made = establisher.establish(settings);
    if (made == null) {
      throw new IllegalStateException("the VPN is not prepared: VpnService.prepare() first");
    }
    closeDevice(); // only now, so that there is always one
    device = made;
  }

  private void start(TunProxy starting) throws TunProxyException, IOException {
    int fd = device.dup().detachFd();
    try {
      starting.start(fd, settings.mtu);
    } catch (TunProxyException failure) {
      ParcelFileDescriptor.adoptFd(fd).close();
      throw failure;
    }
  }

  /** From the tunnel's thread. */
  void onState(TunProxyState state, int reason) {
    try {
      if (state == TunProxyState.ONLINE) {
        worker.execute(() -> pause = FIRST_PAUSE_MILLIS);
      } else if (state == TunProxyState.FAILED && mayPass(reason)) {
        worker.execute(() -> retryAfterPause(reason));
      }
    } catch (RejectedExecutionException ended) {
      // The service is gone, and soon the tunnel.
    }
  }

  /** Whatever the user has to put right does not pass by itself. */
  static boolean mayPass(int reason) {
    return reason != TunProxyException.CONFIG
        && reason != TunProxyException.HOST_KEY
        && reason != TunProxyException.AUTHENTICATION;
  }

  private void retryAfterPause(int reason) {
    if (tunnel == null || retry != null) {
      return;
    }
    retry = worker.schedule(() -> retryNow(reason), pause, TimeUnit.MILLISECONDS);
    pause = Math.min(2 * pause, LONGEST_PAUSE_MILLIS);
  }

  private void retryNow(int reason) {
    retry = null;
    TunProxy again = tunnel;
    if (again == null) {
      return;
    }
    try {
      again.stop(STOP_MILLIS);
      if (reason == TunProxyException.DEVICE) {
        establish();
      }
      start(again);
    } catch (TunProxyException
        | PackageManager.NameNotFoundException
        | IOException
        | IllegalStateException failure) {
      retryAfterPause(reason);
    }
  }

  /** The network below is another one: what waits for its turn goes now. */
  void networkChanged() {
    if (retry != null && retry.cancel(false)) {
      pause = FIRST_PAUSE_MILLIS;
      retryNow(TunProxyException.UNREACHABLE);
    } else {
      tell(TunProxy::networkChanged);
    }
  }

  /** It has failed, or was stopped: it carries nothing, but keeps its interface. */
  boolean stands() {
    TunProxy running = tunnel;
    try {
      TunProxyState state = running == null ? TunProxyState.STOPPED : running.stats().state;
      return state == TunProxyState.FAILED || state == TunProxyState.STOPPED;
    } catch (TunProxyException closed) {
      return true;
    }
  }

  /** Is tried no more. The interface stays, until {@link #end}. */
  void stop() {
    cancelRetry();
    tell(running -> running.stop(STOP_MILLIS));
  }

  private void cancelRetry() {
    if (retry != null) {
      retry.cancel(false);
      retry = null;
    }
  }

  /** From any thread; does nothing while the tunnel does not run. */
  void tell(Order order) {
    TunProxy running = tunnel;
    if (running == null) {
      return;
    }
    try {
      order.to(running);
    } catch (TunProxyException notRunning) {
      // It is about to start, or has failed.
    }
  }

  /** Ends the tunnel and the interface. */
  void end() {
    cancelRetry();
    TunProxy ending = tunnel;
    tunnel = null;
    if (ending != null) {
      end(ending);
    }
    closeDevice();
  }

  // close() waits as long as a listener of the app blocks: not in the worker's thread.
  private static void end(TunProxy ending) {
    try {
      ending.stop(STOP_MILLIS);
      ending.close();
    } catch (TunProxyException blocked) {
      new Thread(() -> closeLate(ending), "tunproxy-close").start();
    }
  }

  private static void closeLate(TunProxy ending) {
    try {
      ending.close();
    } catch (TunProxyException impossible) {
      throw new AssertionError(impossible);
    }
  }

  private void closeDevice() {
    if (device == null) {
      return;
    }
    try {
      device.close();
    } catch (IOException ignored) {
      // It is closed all the same.
    }
    device = null;
  }
}
