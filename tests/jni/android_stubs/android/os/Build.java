package android.os;

/** A stub of the platform's class. */
public class Build {
  /** A stub of the platform's class. */
  public static class VERSION {
    public static final int SDK_INT = Integer.getInteger("sdk", 35);
  }

  /** A stub of the platform's class. */
  public static class VERSION_CODES {
    public static final int P = 28;
    public static final int Q = 29;
    public static final int S = 31;
    public static final int TIRAMISU = 33;
    public static final int UPSIDE_DOWN_CAKE = 34;
  }
}
