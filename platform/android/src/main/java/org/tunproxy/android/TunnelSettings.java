package org.tunproxy.android;

import java.util.ArrayList;
import java.util.Collections;
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
    final String address;
    final int length;

    Block(String text) {
      int slash = text.indexOf('/');
      if (slash <= 0) {
        throw new IllegalArgumentException(text + ": an address block is ADDRESS/LENGTH");
      }
      address = text.substring(0, slash);
      length = Integer.parseInt(text.substring(slash + 1));
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
   * @param config wiped when the tunnel has read it
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

  List<Block> excludedBlocks() {
    return Collections.unmodifiableList(excluded);
  }
}
