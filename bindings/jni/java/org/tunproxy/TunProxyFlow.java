package org.tunproxy;

import java.nio.charset.StandardCharsets;

/** An open flow. */
public final class TunProxyFlow {
  public final long id;

  /** 6 TCP, 17 UDP. */
  public final int protocol;

  /** The user id of {@link TunProxyListener#onFlowOwner}; -1: unknown. */
  public final int owner;

  public final long ageMillis;
  public final long bytesUp;
  public final long bytesDown;

  /** "192.0.2.1:4711" */
  public final String source;

  /** "host:port"; "" for UDP. */
  public final String target;

  TunProxyFlow(
      long id,
      int protocol,
      int owner,
      long ageMillis,
      long bytesUp,
      long bytesDown,
      byte[] source,
      byte[] target) {
    this.id = id;
    this.protocol = protocol;
    this.owner = owner;
    this.ageMillis = ageMillis;
    this.bytesUp = bytesUp;
    this.bytesDown = bytesDown;
    this.source = new String(source, StandardCharsets.UTF_8);
    this.target = new String(target, StandardCharsets.UTF_8);
  }
}
