package android.os;

/** A stub of the platform's class. */
public class PowerManager {
  public static final String ACTION_DEVICE_IDLE_MODE_CHANGED =
      "android.os.action.DEVICE_IDLE_MODE_CHANGED";

  public volatile boolean idle;

  public boolean isDeviceIdleMode() {
    return idle;
  }
}
