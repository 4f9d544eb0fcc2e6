package org.tunproxy;

import java.nio.charset.StandardCharsets;

/**
 * What a program on Linux needs and Java cannot do: a TUN interface for {@link TunProxy#start}, and
 * marks that keep sockets out of it. Not part of the Android library, where VpnService has both.
 */
public final class LinuxTun {
  static {
    NativeLibrary.load();
  }

  private LinuxTun() {}

  /**
   * Opens an interface, which is made if it is not there and lasts as long as the descriptor then.
   * Addresses and routes are the caller's business. The descriptor is the caller's until it is handed
   * to {@link TunProxy#start}.
   */
  public static int open(String name) throws TunProxyException {
    return open(name.getBytes(StandardCharsets.UTF_8));
  }

  /**
   * Sets a socket's firewall mark (SO_MARK; needs CAP_NET_ADMIN), by which a rule of the routing can
   * lead it past the interface: an answer to {@link TunProxyListener#onProtect}. False: the system
   * refused.
   */
  public static boolean mark(int socket, int mark) {
    try {
      setMark(socket, mark);
      return true;
    } catch (TunProxyException refused) {
      return false;
    }
  }

  private static native int open(byte[] name) throws TunProxyException;

  private static native void setMark(int socket, int mark) throws TunProxyException;
}
