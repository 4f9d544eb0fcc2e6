package org.tunproxy.android;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.tunproxy.TunProxyConfig;

/**
 * What {@link TunProxyVpnService} establishes: the interface, and the tunnel behind it. The defaults take all
 * traffic of the device, IPv4 and IPv6, and its name look-ups, so that nothing leaks.
 */
public final class TunnelSettings {
  /** An address block: {@code 10.0.0.0/8}. */
  static final class Block {
    final InetAddress address;
    final int length;

    Block(String text) {
      int slash = text.indexOf('/');
      String head = slash < 0 ? "" : text.substring(0, slash);
      if (!head.matches("[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")) { // a name would be looked up
        throw wrong(text);
      }
      try {
        address = InetAddress.getByName(head);
        length = Integer.parseInt(text.substring(slash + 1));
      } catch (UnknownHostException | NumberFormatException bad) {
        throw wrong(text);
      }
      if (length < 1 || length > address.getAddress().length * 8) {
        throw wrong(text);
      }
    }

    private static IllegalArgumentException wrong(String text) {
      return new IllegalArgumentException(
          "'" + text + "' is no address block: ADDRESS/LENGTH, such as 10.0.0.0/8 or fd00::/8");
    }
  }

  /** Route lists beyond this size crash the system's service. */
  public static final int MAX_ROUTES = 1000;

  final TunProxyConfig config;
  final String session;
  final List<Block> excluded = new ArrayList<>();
  final Set<String> allowedApps = new LinkedHashSet<>();
  final Set<String> disallowedApps = new LinkedHashSet<>();
  int mtu = 1500;
  boolean metered;

  /**
   * @param session the tunnel's name for people
   * @param config wiped when the tunnel has read it. A listener ({@code socks}) would be open to
   *     every app of the device: without users ({@code socks-user}) the start is refused.
   */
  public TunnelSettings(String session, TunProxyConfig config) {
    this.session = session;
    this.config = config;
  }

  /** 1280 to 65535 bytes. */
  public TunnelSettings mtu(int bytes) {
    if (bytes < 1280 || bytes > 65535) {
      throw new IllegalArgumentException("mtu: 1280 to 65535");
    }
    mtu = bytes;
    return this;
  }

  /** Leaves a block out of the tunnel (Android 13 and later). */
  public TunnelSettings exclude(String block) {
    if (excluded.size() == MAX_ROUTES) {
      throw new IllegalArgumentException("at most " + MAX_ROUTES + " blocks can be left out");
    }
    excluded.add(new Block(block));
    return this;
  }

  /** Only these apps; not together with {@link #disallowApp}. */
  public TunnelSettings allowApp(String packageName) {
    if (!disallowedApps.isEmpty()) {
      throw new IllegalArgumentException("apps are either allowed or disallowed");
    }
    allowedApps.add(packageName);
    return this;
  }

  /** All but these apps; not together with {@link #allowApp}. */
  public TunnelSettings disallowApp(String packageName) {
    if (!allowedApps.isEmpty()) {
      throw new IllegalArgumentException("apps are either allowed or disallowed");
    }
    disallowedApps.add(packageName);
    return this;
  }

  /** The tunnel costs as much as the network below if it is metered (default: it is not). */
  public TunnelSettings metered(boolean is) {
    metered = is;
    return this;
  }

  /** Something of the device is to go round the tunnel, which lockdown forbids. */
  boolean leavesSomethingOut() {
    return !excluded.isEmpty() || !allowedApps.isEmpty() || !disallowedApps.isEmpty();
  }
}
