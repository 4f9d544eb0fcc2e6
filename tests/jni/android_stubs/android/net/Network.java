package android.net;

import java.net.InetAddress;
import java.net.UnknownHostException;

/** A stub of the platform's class, to compile against. */
public class Network {
  public InetAddress[] getAllByName(String host) throws UnknownHostException {
    return InetAddress.getAllByName(host);
  }
}
