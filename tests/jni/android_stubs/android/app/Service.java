package android.app;

import android.content.Context;
import android.content.Intent;

/** A stub of the platform's class, to compile against. */
public abstract class Service extends Context {
  public static final int START_STICKY = 1;
  public static final int START_NOT_STICKY = 2;
  public static final int STOP_FOREGROUND_REMOVE = 1;
  public static final int TRIM_MEMORY_RUNNING_CRITICAL = 15;

  public int onStartCommand(Intent intent, int flags, int startId) {
    return START_STICKY;
  }

  public void onDestroy() {}

  public void onTrimMemory(int level) {}

  public final void stopSelf() {}

  public final void startForeground(int id, Notification notification) {}

  public final void startForeground(int id, Notification notification, int type) {}

  public final void stopForeground(int behaviour) {}
}
