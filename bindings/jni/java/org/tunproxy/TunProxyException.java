package org.tunproxy;

import java.nio.charset.StandardCharsets;

/** A call failed. The message says what was wrong, and what to do. */
public final class TunProxyException extends Exception {
  private static final long serialVersionUID = 1L;

  static final int STATE = 3; // TUNPROXY_ERROR_STATE

  private final int result;

  TunProxyException(int result, String message) {
    super(message);
    this.result = result;
  }

  TunProxyException(int result, byte[] message) {
    this(result, new String(message, StandardCharsets.UTF_8));
  }

  /** The {@code tunproxy_result} of the C API. */
  public int result() {
    return result;
  }
}
