package android.net;

import java.net.InetAddress;

/** A stub of the platform's class, to compile against. */
public final class IpPrefix {
  public IpPrefix(InetAddress address, int length) {}
}
