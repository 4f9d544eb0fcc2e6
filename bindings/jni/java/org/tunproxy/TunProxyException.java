package org.tunproxy;

import java.nio.charset.StandardCharsets;

/** A call failed. The message says what was wrong, and what to do. */
public final class TunProxyException extends Exception {
  private static final long serialVersionUID = 1L;

  /** Values of {@link #result} and of the reason of a state: those of {@code tunproxy_result}. */
  public static final int ARGUMENT = 1;

  public static final int CONFIG = 2;
  public static final int STATE = 3;
  public static final int CALLBACK = 4;
  public static final int LIMIT = 5;
  public static final int TIMEOUT = 6;
  public static final int HOST_KEY = 7;
  public static final int AUTHENTICATION = 8;
  public static final int UNREACHABLE = 9;
  public static final int PERMISSION = 10;
  public static final int PROTOCOL = 11;
  public static final int DEVICE = 12;
  public static final int OTHER = 13;

  private final int result;

  TunProxyException(int result, String message) {
    super(message);
    this.result = result;
  }

  TunProxyException(int result, byte[] message) {
    this(result, new String(message, StandardCharsets.UTF_8));
  }

  /** What kind of failure it is. */
  public int result() {
    return result;
  }
}
