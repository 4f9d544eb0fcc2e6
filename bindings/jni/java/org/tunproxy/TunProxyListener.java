package org.tunproxy;

import java.nio.ByteBuffer;

/**
 * What an app hears and is asked. All methods have a default and may be called from threads of the
 * library, several at the same time. An exception counts as a refusal, and is reported to {@link
 * #onLog} as an error.
 */
public interface TunProxyListener {
  /** Of {@link #onLog}. */
  int LOG_TRACE = 0;

  /** From here down lines may say where people go. */
  int LOG_DEBUG = 1;

  int LOG_INFO = 2;
  int LOG_WARN = 3;
  int LOG_ERROR = 4;

  /** The state changed. {@code reason} is a {@code tunproxy_result}, 0 for none. */
  default void onState(TunProxyState state, int reason, String text) {}

  /** A line for people. */
  default void onLog(int level, String line) {}

  /**
   * Keeps a socket out of the tunnel, between {@code socket()} and {@code connect()}: {@code
   * VpnService.protect(fd)}. False: the socket is closed. Must not block.
   */
  default boolean onProtect(int fd) {
    return true;
  }

  /**
   * An unknown host key: answer by {@link Question#answer} with "yes" or {@link Question#refuse}. What is
   * accepted is kept by the library where {@code known-hosts} names a file, else by the app: {@link
   * TunProxyHostKey#line}.
   */
  default void onVerifyHostKey(Question question, TunProxyHostKey key) {
    question.refuse();
  }

  /** The server asks the user; {@code echo} is false for secrets. */
  default void onAsk(Question question, String prompt, boolean echo) {
    question.refuse();
  }

  /**
   * Addresses of a name that is needed before there is a tunnel, for example by {@code
   * Network.getAllByName}; may block. Null: the system's resolver is asked no more, and the
   * look-up fails.
   */
  default String[] onResolve(String name) {
    try {
      java.net.InetAddress[] found = java.net.InetAddress.getAllByName(name);
      String[] texts = new String[found.length];
      for (int i = 0; i < found.length; i++) {
        texts[i] = found[i].getHostAddress();
      }
      return texts;
    } catch (java.net.UnknownHostException unknown) {
      return null;
    }
  }

  /**
   * Packets for the device, in packet mode: {@code count} of them stand one after another in {@code
   * packets}, each of {@code lengths[i]} bytes. Both are valid until this returns, which must not take
   * long. What the device has no room for is to be dropped.
   */
  default void onPackets(ByteBuffer packets, int[] lengths, int count) {}

  /**
   * The user id of the app that made a flow, for example by {@code
   * ConnectivityManager.getConnectionOwnerUid}; -1: unknown. Must not block.
   */
  default int onFlowOwner(
      int protocol, String localAddress, int localPort, String remoteAddress, int remotePort) {
    return -1;
  }

  /** A question that can be answered once, now or later, from any thread. */
  interface Question {
    /** Null refuses. False: nobody waits for the answer any more. */
    boolean answer(String text);

    /** The same for a secret, in UTF-8 and without a zero byte; the caller wipes it afterwards, as no String can be. */
    boolean answer(byte[] secret);

    boolean refuse();
  }
}
