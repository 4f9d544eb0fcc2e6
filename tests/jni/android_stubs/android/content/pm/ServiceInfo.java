package android.content.pm;

/** A stub of the platform's class. */
public class ServiceInfo {
  public static final int FOREGROUND_SERVICE_TYPE_SYSTEM_EXEMPTED = 1024;
}
