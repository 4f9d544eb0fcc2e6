package android.content;

/** A stub of the platform's class. */
public class Intent {
  private final String action;

  public Intent(String action) {
    this.action = action;
  }

  public String getAction() {
    return action;
  }
}
