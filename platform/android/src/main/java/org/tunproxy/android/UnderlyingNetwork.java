package org.tunproxy.android;

import android.net.ConnectivityManager;
import android.net.LinkProperties;
import android.net.Network;
import android.net.NetworkCapabilities;
import android.net.NetworkRequest;
import android.os.Build;
import android.os.Handler;
import android.os.Looper;
import java.util.concurrent.TimeUnit;

/**
 * The network that the tunnel goes over: the best one that is no VPN, as the system chooses it. Thread-safe;
 * hears of changes in a thread of the system.
 */
final class UnderlyingNetwork extends ConnectivityManager.NetworkCallback {
  /** Hears of changes. */
  interface Listener {
    /** Null: there is none now. */
    void onNetwork(Network network);
  }

  private final ConnectivityManager connectivity;
  private final Listener listener;
  private Network current;
  private LinkProperties properties; // null: not told yet

  UnderlyingNetwork(ConnectivityManager connectivity, Listener listener) {
    this.connectivity = connectivity;
    this.listener = listener;
  }

  // A callback for the default network would be told of our own VPN from Android 9 on, and one that
  // only listens would be told of every network.
  void watch() {
    NetworkRequest below =
        new NetworkRequest.Builder()
            .addCapability(NetworkCapabilities.NET_CAPABILITY_INTERNET)
            .addCapability(NetworkCapabilities.NET_CAPABILITY_NOT_VPN)
            .build();
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.S) {
      connectivity.registerBestMatchingNetworkCallback(
          below, this, new Handler(Looper.getMainLooper()));
    } else if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.P) {
      connectivity.requestNetwork(below, this);
    } else {
      connectivity.registerDefaultNetworkCallback(this);
    }
  }

  void forget() {
    connectivity.unregisterNetworkCallback(this);
  }

  synchronized Network current() {
    return current;
  }

  /** The network, or the first one that comes; null if none does in time. */
  synchronized Network await(long millis) {
    long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
    try {
      while (current == null) {
        long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
        if (left <= 0) {
          return null;
        }
        wait(left);
      }
    } catch (InterruptedException interruption) {
      Thread.currentThread().interrupt();
    }
    return current;
  }

  @Override
  public void onAvailable(Network network) {
    use(network);
  }

  // Addresses or routes are new: what comes first after onAvailable() tells only what there is.
  @Override
  public void onLinkPropertiesChanged(Network network, LinkProperties told) {
    boolean changed;
    synchronized (this) {
      if (!network.equals(current)) {
        return;
      }
      changed = properties != null && !properties.equals(told);
      properties = told;
    }
    if (changed) {
      listener.onNetwork(network);
    }
  }

  // The system tells of a better one by onAvailable(), and of the former's end or not at all.
  @Override
  public void onLost(Network network) {
    synchronized (this) {
      if (!network.equals(current)) {
        return;
      }
    }
    use(null);
  }

  private void use(Network network) {
    synchronized (this) {
      current = network;
      properties = null;
      notifyAll();
    }
    listener.onNetwork(network);
  }
}
