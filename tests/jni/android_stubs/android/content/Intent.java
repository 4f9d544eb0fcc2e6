package android.content;

/** A stub of the platform's class, to compile against. */
public class Intent {
  public String getAction() {
    return null;
  }
}
