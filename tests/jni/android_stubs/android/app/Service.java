package android.app;

import android.content.ComponentCallbacks2;
import android.content.Context;
import android.content.Intent;
import android.test.Device;

/** A stub of the platform's class. */
public abstract class Service extends Context implements ComponentCallbacks2 {
  public static final int START_STICKY = 1;
  public static final int START_NOT_STICKY = 2;
  public static final int STOP_FOREGROUND_REMOVE = 1;

  public void onCreate() {}

  public int onStartCommand(Intent intent, int flags, int startId) {
    return START_STICKY;
  }

  public void onDestroy() {}

  @Override
  public void onTrimMemory(int level) {}

  public final void stopSelf() {
    Device.now.stopped = true;
  }

  public final void startForeground(int id, Notification notification) {
    Device.now.foreground = true;
    Device.now.notifications.add(notification);
  }

  public final void startForeground(int id, Notification notification, int type) {
    startForeground(id, notification);
  }

  public final void stopForeground(int behaviour) {
    Device.now.foreground = false;
  }
}
