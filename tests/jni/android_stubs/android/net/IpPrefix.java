package android.net;

import java.net.InetAddress;

/** A stub of the platform's class. */
public final class IpPrefix {
  private final String text;

  public IpPrefix(InetAddress address, int length) {
    text = address.getHostAddress() + "/" + length;
  }

  @Override
  public String toString() {
    return text;
  }
}
