package android.content;

/** A stub of the platform's class. */
public class IntentFilter {
  public IntentFilter(String action) {}
}
