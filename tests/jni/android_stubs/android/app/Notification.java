package android.app;

/** A stub of the platform's class. */
public class Notification {
  public final String text;

  public Notification(String text) {
    this.text = text;
  }
}
