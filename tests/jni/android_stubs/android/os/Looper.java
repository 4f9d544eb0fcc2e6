package android.os;

/** A stub of the platform's class. */
public final class Looper {
  public static Looper getMainLooper() {
    return new Looper();
  }
}
