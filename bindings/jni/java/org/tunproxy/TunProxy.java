package org.tunproxy;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * A tunnel: TCP and UDP of a TUN device, or of packets, through an SSH account or a SOCKS5 server. It
 * runs in a thread of its own from {@code start…} to {@link #stop}. All methods may be called from any
 * thread, but {@code start…}, {@link #stop} and {@link #close} not from a listener's method, nor {@link #reload}
 * from one that the tunnel's thread calls. What still runs when the
 * machine shuts down is stopped.
 */
public final class TunProxy implements AutoCloseable {
  static {
    NativeLibrary.load();
  }

  /** How hard the system is pressed for memory; see {@link #memoryPressure}. */
  public enum MemoryPressure {
    NONE,
    MODERATE,
    CRITICAL
  }

  private static final TunProxyState[] STATES = TunProxyState.values();

  private final Object lock = new Object();
  private final Bridge bridge;
  private long handle; // 0: closed
  private int calls; // under way

  /** Makes a tunnel that is not configured yet. */
  public TunProxy(TunProxyListener listener) throws TunProxyException {
    bridge = new Bridge(this, listener == null ? new TunProxyListener() {} : listener);
    handle = create(bridge);
    Shutdown.add(this);
  }

  /** The version of the library. */
  public static native String version();

  static TunProxyState stateOf(int state) {
    return state >= 0 && state < STATES.length ? STATES[state] : TunProxyState.FAILED;
  }

  /** Adds to the configuration; not while it runs. The message of an error names the key. */
  public void configure(TunProxyConfig config) throws TunProxyException {
    long tunnel = enter();
    try {
      for (String text : config.texts) {
        setToml(tunnel, utf8(text));
      }
      for (TunProxyConfig.Entry entry : config.entries) {
        set(tunnel, utf8(entry.key), utf8(entry.value));
      }
      for (TunProxyConfig.SecretEntry secret : config.secrets) {
        setSecret(tunnel, utf8(secret.key), secret.value);
      }
    } finally {
      leave();
    }
  }

  /**
   * Runs over a TUN descriptor. It is the library's on success (hand over what {@code
   * ParcelFileDescriptor.detachFd} gives), the caller's on failure.
   */
  public void start(int fd, int mtu) throws TunProxyException {
    with(tunnel -> start(tunnel, fd, mtu));
  }

  /**
   * Runs with packets that the app moves itself, by {@link #push} and {@link
   * TunProxyListener#onPackets}.
   */
  public void startPackets(int mtu) throws TunProxyException {
    synchronized (bridge) {
      with(tunnel -> startPackets(tunnel, mtu, bridge.room(), bridge.lengths()));
    }
  }

  /**
   * Hands packets of the device in. They stand in a direct buffer one after another, from its position
   * on; {@code lengths[first]} is the first one's, in bytes. They are copied, and the position moves
   * behind the last one that was taken.
   *
   * @return how many were taken; fewer than {@code count}: the queue is full, and the rest is to be
   *     offered again after a moment, or dropped
   */
  public int push(ByteBuffer packets, int[] lengths, int first, int count)
      throws TunProxyException {
    if (!packets.isDirect()) {
      throw new IllegalArgumentException("packets: a direct buffer (ByteBuffer.allocateDirect)");
    }
    if (length(lengths, first, count) > packets.remaining()) {
      throw new IllegalArgumentException("the packets are longer than what the buffer holds");
    }
    int[] taken = new int[1];
    with(
        tunnel -> taken[0] = push(tunnel, packets, packets.position(), lengths, first, count));
    packets.position(packets.position() + (int) length(lengths, first, taken[0]));
    return taken[0];
  }

  private static long length(int[] lengths, int first, int count) {
    if (first < 0 || count < 0 || count > lengths.length - first) {
      throw new IndexOutOfBoundsException("lengths: " + first + " and " + count + " more");
    }
    long sum = 0;
    for (int i = first; i < first + count; i++) {
      if (lengths[i] < 0) {
        throw new IllegalArgumentException("a packet of " + lengths[i] + " bytes");
      }
      sum += lengths[i];
    }
    return sum;
  }

  /** Runs the listener of the key {@code socks} alone. */
  public void startProxy() throws TunProxyException {
    with(TunProxy::startProxy);
  }

  /** The network below changed: connections are checked at once. */
  public void networkChanged() throws TunProxyException {
    with(TunProxy::networkChanged);
  }

  /** The device goes to sleep. */
  public void pause() throws TunProxyException {
    with(TunProxy::pause);
  }

  /** The device woke up. */
  public void wake() throws TunProxyException {
    with(TunProxy::wake);
  }

  /** Uses less memory until it is told {@link MemoryPressure#NONE}. */
  public void memoryPressure(MemoryPressure pressure) throws TunProxyException {
    with(tunnel -> memoryPressure(tunnel, pressure.ordinal()));
  }

  /** Reads the files of rules, users and certificates again. */
  public void reload() throws TunProxyException {
    with(TunProxy::reload);
  }

  /** Counters of this moment. */
  public TunProxyStats stats() throws TunProxyException {
    long[] values = new long[TunProxyStats.VALUES];
    with(tunnel -> stats(tunnel, values));
    return new TunProxyStats(values);
  }

  /** The open flows. */
  public TunProxyFlow[] flows() throws TunProxyException {
    TunProxyFlow[][] found = new TunProxyFlow[1][];
    with(tunnel -> found[0] = flows(tunnel));
    return found[0];
  }

  /** Stops, and waits for the end for at most {@code timeoutMillis}. Idempotent. */
  public void stop(int timeoutMillis) throws TunProxyException {
    with(tunnel -> stop(tunnel, timeoutMillis));
  }

  /**
   * Stops, however long that takes, and gives everything back. No listener is called afterwards.
   * Closing again does nothing.
   */
  @Override
  public void close() throws TunProxyException {
    long tunnel;
    synchronized (lock) {
      if (handle == 0) {
        return;
      }
      refuseInCallback(handle);
      tunnel = handle;
      handle = 0;
      boolean interrupted = false;
      while (calls > 0) {
        try {
          lock.wait();
        } catch (InterruptedException interruption) {
          interrupted = true;
        }
      }
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
    destroy(tunnel);
    Shutdown.remove(this);
  }

  boolean answer(long question, byte[] text) {
    try {
      boolean[] taken = new boolean[1];
      with(tunnel -> taken[0] = answer(tunnel, question, text));
      return taken[0];
    } catch (TunProxyException closed) {
      return false;
    }
  }

  private interface Call {
    void on(long tunnel) throws TunProxyException;
  }

  private void with(Call call) throws TunProxyException {
    long tunnel = enter();
    try {
      call.on(tunnel);
    } finally {
      leave();
    }
  }

  private long enter() throws TunProxyException {
    synchronized (lock) {
      if (handle == 0) {
        throw new TunProxyException(TunProxyException.STATE, "the tunnel is closed");
      }
      calls++;
      return handle;
    }
  }

  private void leave() {
    synchronized (lock) {
      calls--;
      lock.notifyAll();
    }
  }

  static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static native long create(Bridge bridge) throws TunProxyException;

  private static native void set(long tunnel, byte[] key, byte[] value) throws TunProxyException;

  private static native void setToml(long tunnel, byte[] text) throws TunProxyException;

  private static native void setSecret(long tunnel, byte[] key, byte[] value)
      throws TunProxyException;

  private static native void start(long tunnel, int fd, int mtu) throws TunProxyException;

  private static native void startPackets(long tunnel, int mtu, ByteBuffer room, int[] lengths)
      throws TunProxyException;

  private static native int push(
      long tunnel, ByteBuffer packets, int position, int[] lengths, int first, int count)
      throws TunProxyException;

  private static native void startProxy(long tunnel) throws TunProxyException;

  private static native void networkChanged(long tunnel) throws TunProxyException;

  private static native void pause(long tunnel) throws TunProxyException;

  private static native void wake(long tunnel) throws TunProxyException;

  private static native void memoryPressure(long tunnel, int pressure) throws TunProxyException;

  private static native void reload(long tunnel) throws TunProxyException;

  private static native void stats(long tunnel, long[] values) throws TunProxyException;

  private static native TunProxyFlow[] flows(long tunnel) throws TunProxyException;

  private static native void stop(long tunnel, int timeoutMillis) throws TunProxyException;

  private static native void refuseInCallback(long tunnel) throws TunProxyException;

  private static native void destroy(long tunnel) throws TunProxyException;

  private static native boolean answer(long tunnel, long question, byte[] text);
}
