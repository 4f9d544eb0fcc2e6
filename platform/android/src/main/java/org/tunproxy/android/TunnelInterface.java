package org.tunproxy.android;

import android.content.pm.PackageManager;
import android.net.IpPrefix;
import android.net.Network;
import android.net.VpnService;
import android.os.Build;

/**
 * The interface of the VPN. Addresses, default routes and resolvers of both families: without any of
 * them traffic would leak. Nothing may bypass it.
 */
final class TunnelInterface {
  static final String ADDRESS = "10.111.222.1";
  static final String RESOLVER = "10.111.222.2";
  static final int PREFIX = 30;
  static final String ADDRESS6 = "fd74:756e:7072:6f78::1";
  static final String RESOLVER6 = "fd74:756e:7072:6f78::2";
  static final int PREFIX6 = 126;

  private TunnelInterface() {}

  /** {@code network}: the one below; null: the system's default. */
  static VpnService.Builder describe(
      VpnService.Builder builder, TunnelSettings settings, Network network)
      throws PackageManager.NameNotFoundException {
    builder
        .setSession(settings.session)
        .setMtu(settings.mtu)
        .addAddress(ADDRESS, PREFIX)
        .addAddress(ADDRESS6, PREFIX6)
        .addRoute("0.0.0.0", 0)
        .addRoute("::", 0)
        .addDnsServer(RESOLVER)
        .addDnsServer(RESOLVER6);
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) {
      builder.setMetered(settings.metered);
    }
    if (network != null) {
      builder.setUnderlyingNetworks(new Network[] {network});
    }
    for (TunnelSettings.Block block : settings.excluded) {
      exclude(builder, block);
    }
    for (String app : settings.allowedApps) {
      builder.addAllowedApplication(app);
    }
    for (String app : settings.disallowedApps) {
      builder.addDisallowedApplication(app);
    }
    return builder;
  }

  private static void exclude(VpnService.Builder builder, TunnelSettings.Block block) {
    if (Build.VERSION.SDK_INT < Build.VERSION_CODES.TIRAMISU) {
      throw new IllegalStateException("blocks can be left out of the tunnel from Android 13 on");
    }
    builder.excludeRoute(new IpPrefix(block.address, block.length));
  }
}
