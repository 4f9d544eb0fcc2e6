package android.content;

/** A stub of the platform's class, to compile against. */
public abstract class BroadcastReceiver {
  public abstract void onReceive(Context context, Intent intent);
}
