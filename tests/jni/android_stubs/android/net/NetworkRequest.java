package android.net;

/** A stub of the platform's class. */
public class NetworkRequest {
  /** A stub of the platform's class. */
  public static class Builder {
    public Builder addCapability(int capability) {
      return this;
    }

    public NetworkRequest build() {
      return new NetworkRequest();
    }
  }
}
