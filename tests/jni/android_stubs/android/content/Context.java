package android.content;

/** A stub of the platform's class, to compile against. */
public abstract class Context {
  public <T> T getSystemService(Class<T> type) {
    return null;
  }

  public Intent registerReceiver(BroadcastReceiver receiver, IntentFilter filter) {
    return null;
  }

  public void unregisterReceiver(BroadcastReceiver receiver) {}
}
