package org.tunproxy;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * What the native library calls. Texts are bytes of UTF-8, which need not be valid. No exception leaves a
 * method: it counts as a refusal and is reported to the log.
 */
final class Bridge {
  private static final int ROOM = 256 * 1024;
  private static final int MOST_PACKETS = 64;

  private final TunProxy tunnel;
  private final TunProxyListener listener;
  private ByteBuffer room; // where the library puts packets, in packet mode
  private int[] lengths;

  Bridge(TunProxy tunnel, TunProxyListener listener) {
    this.tunnel = tunnel;
    this.listener = listener;
  }

  private static String text(byte[] bytes) {
    return new String(bytes, StandardCharsets.UTF_8);
  }

  ByteBuffer room() {
    if (room == null) {
      room = ByteBuffer.allocateDirect(ROOM);
    }
    return room;
  }

  int[] lengths() {
    if (lengths == null) {
      lengths = new int[MOST_PACKETS];
    }
    return lengths;
  }

  private void report(String method, Throwable thrown) {
    try {
      listener.onLog(TunProxyListener.LOG_ERROR, "the listener's " + method + " threw " + thrown);
    } catch (Throwable again) {
      // There is nobody left to tell.
    }
  }

  void state(int state, int reason, byte[] why) {
    try {
      listener.onState(TunProxy.stateOf(state), reason, text(why));
    } catch (Throwable thrown) {
      report("onState", thrown);
    }
  }

  void log(int level, byte[] line) {
    try {
      listener.onLog(level, text(line));
    } catch (Throwable thrown) {
      // Reporting it would log again.
    }
  }

  boolean protect(int fd) {
    try {
      return listener.onProtect(fd);
    } catch (Throwable thrown) {
      report("onProtect", thrown);
      return false;
    }
  }

  void verifyHostKey(long question, byte[] host, byte[] type, byte[] fingerprint, byte[] line) {
    Waiting waiting = new Waiting(question);
    try {
      listener.onVerifyHostKey(
          waiting, new TunProxyHostKey(text(host), text(type), text(fingerprint), text(line)));
    } catch (Throwable thrown) {
      report("onVerifyHostKey", thrown);
      waiting.refuse();
    }
  }

  void ask(long question, byte[] prompt, boolean echo) {
    Waiting waiting = new Waiting(question);
    try {
      listener.onAsk(waiting, text(prompt), echo);
    } catch (Throwable thrown) {
      report("onAsk", thrown);
      waiting.refuse();
    }
  }

  /** The addresses, separated by spaces; null: none. */
  byte[] resolve(byte[] name) {
    try {
      String[] found = listener.onResolve(text(name));
      return found == null ? null : String.join(" ", found).getBytes(StandardCharsets.UTF_8);
    } catch (Throwable thrown) {
      report("onResolve", thrown);
      return null;
    }
  }

  /** So many are in the room. */
  void packets(int count) {
    int bytes = 0;
    for (int i = 0; i < count; i++) {
      bytes += lengths[i];
    }
    try {
      ByteBuffer packets = room.duplicate();
      packets.limit(bytes);
      listener.onPackets(packets, lengths, count);
    } catch (Throwable thrown) {
      report("onPackets", thrown);
    }
  }

  int flowOwner(int protocol, byte[] local, int localPort, byte[] remote, int remotePort) {
    try {
      return listener.onFlowOwner(protocol, text(local), localPort, text(remote), remotePort);
    } catch (Throwable thrown) {
      report("onFlowOwner", thrown);
      return -1;
    }
  }

  private final class Waiting implements TunProxyListener.Question {
    private final long question;

    Waiting(long question) {
      this.question = question;
    }

    @Override
    public boolean answer(String text) {
      return tunnel.answer(question, text == null ? null : TunProxy.utf8(text));
    }

    @Override
    public boolean answer(byte[] secret) {
      return tunnel.answer(question, secret);
    }

    @Override
    public boolean refuse() {
      return tunnel.answer(question, null);
    }
  }
}
