package android.net;

import android.os.Handler;
import android.test.Device;
import java.net.InetSocketAddress;

/** A stub of the platform's class: at most one callback is registered, and told what a test says. */
public class ConnectivityManager {
  /** A stub of the platform's class. */
  public static class NetworkCallback {
    public void onAvailable(Network network) {}

    public void onLost(Network network) {}

    public void onLinkPropertiesChanged(Network network, LinkProperties properties) {}
  }

  /** The callback, and how it was registered. */
  public volatile NetworkCallback callback;

  public volatile String way;

  public void registerBestMatchingNetworkCallback(
      NetworkRequest request, NetworkCallback told, Handler handler) {
    register(told, "best");
  }

  public void requestNetwork(NetworkRequest request, NetworkCallback told) {
    register(told, "request");
  }

  public void registerDefaultNetworkCallback(NetworkCallback told) {
    register(told, "default");
  }

  private void register(NetworkCallback told, String how) {
    if (callback != null) {
      throw new IllegalArgumentException("there is one already");
    }
    callback = told;
    way = how;
  }

  public void unregisterNetworkCallback(NetworkCallback told) {
    if (callback != told) {
      throw new IllegalArgumentException("NetworkCallback was not registered");
    }
    callback = null;
  }

  public int getConnectionOwnerUid(
      int protocol, InetSocketAddress local, InetSocketAddress remote) {
    return Device.now.owner.apply(protocol);
  }
}
