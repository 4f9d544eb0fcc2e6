package android.app;

import android.test.Device;

/** A stub of the platform's class. */
public class NotificationManager {
  public void notify(int id, Notification notification) {
    Device.now.notifications.add(notification);
  }
}
