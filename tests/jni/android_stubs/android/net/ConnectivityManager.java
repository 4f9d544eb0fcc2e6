package android.net;

import java.net.InetSocketAddress;

/** A stub of the platform's class, to compile against. */
public class ConnectivityManager {
  /** A stub of the platform's class, to compile against. */
  public static class NetworkCallback {
    public void onAvailable(Network network) {}

    public void onLost(Network network) {}

    public void onLinkPropertiesChanged(Network network, LinkProperties properties) {}
  }

  public void registerNetworkCallback(NetworkRequest request, NetworkCallback callback) {}

  public void unregisterNetworkCallback(NetworkCallback callback) {}

  public int getConnectionOwnerUid(
      int protocol, InetSocketAddress local, InetSocketAddress remote) {
    return -1;
  }
}
