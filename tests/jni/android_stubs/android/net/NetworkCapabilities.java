package android.net;

/** A stub of the platform's class. */
public final class NetworkCapabilities {
  public static final int NET_CAPABILITY_INTERNET = 12;
  public static final int NET_CAPABILITY_NOT_VPN = 15;
}
