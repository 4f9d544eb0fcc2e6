package android.os;

/** A stub of the platform's class, to compile against. */
public class PowerManager {
  public static final String ACTION_DEVICE_IDLE_MODE_CHANGED = "idle";

  public boolean isDeviceIdleMode() {
    return false;
  }
}
