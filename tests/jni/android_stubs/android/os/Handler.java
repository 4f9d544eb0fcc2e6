package android.os;

/** A stub of the platform's class. */
public class Handler {
  public Handler(Looper looper) {}
}
