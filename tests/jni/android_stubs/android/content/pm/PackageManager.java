package android.content.pm;

/** A stub of the platform's class. */
public abstract class PackageManager {
  /** A stub of the platform's class. */
  public static class NameNotFoundException extends Exception {
    private static final long serialVersionUID = 1L;

    public NameNotFoundException(String name) {
      super(name);
    }
  }
}
