package android.content;

import android.app.NotificationManager;
import android.net.ConnectivityManager;
import android.os.PowerManager;
import android.test.Device;

/** A stub of the platform's class. */
public abstract class Context {
  private final NotificationManager notifications = new NotificationManager();

  public final <T> T getSystemService(Class<T> type) {
    Object found = notifications;
    if (type == ConnectivityManager.class) {
      found = Device.now.connectivity;
    } else if (type == PowerManager.class) {
      found = Device.now.power;
    }
    return type.cast(found);
  }

  public Intent registerReceiver(BroadcastReceiver receiver, IntentFilter filter) {
    Device.now.receivers.add(receiver);
    return null;
  }

  public void unregisterReceiver(BroadcastReceiver receiver) {
    if (!Device.now.receivers.remove(receiver)) {
      throw new IllegalArgumentException("Receiver not registered");
    }
  }
}
