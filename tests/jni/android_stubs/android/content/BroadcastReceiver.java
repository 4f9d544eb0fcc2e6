package android.content;

/** A stub of the platform's class. */
public abstract class BroadcastReceiver {
  public abstract void onReceive(Context context, Intent intent);
}
