package android.content.pm;

/** A stub of the platform's class, to compile against. */
public abstract class PackageManager {
  /** A stub of the platform's class, to compile against. */
  public static class NameNotFoundException extends Exception {
    private static final long serialVersionUID = 1L;
  }
}
