package android.content;

/** A stub of the platform's class, to compile against. */
public class IntentFilter {
  public IntentFilter(String action) {}
}
