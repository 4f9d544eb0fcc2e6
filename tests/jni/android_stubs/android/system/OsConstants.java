package android.system;

/** A stub of the platform's class. */
public final class OsConstants {
  public static final int IPPROTO_TCP = 6;
  public static final int IPPROTO_UDP = 17;

  private OsConstants() {}
}
