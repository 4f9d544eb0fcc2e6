package org.tunproxy;

/** Where a tunnel stands. */
public enum TunProxyState {
  /** Created, not started. */
  IDLE,
  /** On the way to the server. */
  CONNECTING,
  /** Host key and login. */
  AUTHENTICATING,
  /** Traffic flows. */
  ONLINE,
  /** The connection is lost; traffic waits or is refused, and never goes round. */
  RECONNECTING,
  /** By {@link TunProxy#stop}. */
  STOPPED,
  /** For good; still to be stopped. */
  FAILED
}
