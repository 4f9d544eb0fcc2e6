package org.tunproxy.test;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import org.tunproxy.LinuxTun;
import org.tunproxy.TunProxy;
import org.tunproxy.TunProxyState;

/** Packet mode: Java itself moves the packets of a TUN, in batches. */
final class PacketTest {
  private static final int BATCH = 32;

  private PacketTest() {}

  /** The TUN as Java's channels see it. */
  private static final class Device implements AutoCloseable {
    private final FileInputStream input;
    private final FileOutputStream output;
    private final FileChannel in;
    private final FileChannel out;

    Device(int fd) throws ReflectiveOperationException {
      FileDescriptor descriptor = new FileDescriptor();
      Field field = FileDescriptor.class.getDeclaredField("fd");
      field.setAccessible(true);
      field.setInt(descriptor, fd);
      input = new FileInputStream(descriptor);
      output = new FileOutputStream(descriptor);
      in = input.getChannel();
      out = output.getChannel();
    }

    @Override
    public void close() throws IOException {
      input.close();
      output.close();
    }
  }

  private static final class PacketEar extends Ear {
    private final Device device;
    volatile int batches;
    volatile int packets;
    volatile boolean throwing;

    PacketEar(Device device) {
      this.device = device;
    }

    @Override
    public void onPackets(ByteBuffer bytes, int[] lengths, int count) {
      batches++;
      packets += count;
      if (throwing) {
        throwing = false;
        throw new IllegalStateException("made up");
      }
      for (int i = 0; i < count; i++) {
        bytes.limit(bytes.position() + lengths[i]);
        try {
          device.out.write(bytes);
        } catch (IOException full) {
          bytes.position(bytes.limit());
        }
      }
    }
  }

  static void all() throws Exception {
    try (Device device = new Device(LinuxTun.open(Place.TUN))) {
      PacketEar ear = new PacketEar(device);
      try (TunProxy tunnel = new TunProxy(ear)) {
        arguments(tunnel);
        for (int round = 0; round < 2; round++) {
          run(tunnel, ear, device);
        }
      }
      Check.that(ear.batches < ear.packets, "packets come in batches");
    }
  }

  private static void run(TunProxy tunnel, PacketEar ear, Device device) throws Exception {
    tunnel.configure(Place.byAddress());
    tunnel.startPackets(Place.MTU);
    Thread mover = new Thread(() -> move(tunnel, device));
    mover.start();
    ear.until(TunProxyState.ONLINE);
    Place.echo(200_000);
    Check.run("python3", Place.of("traffic"), "up", Place.TARGET, "3000000");
    ear.throwing = true; // costs a batch, no more
    Check.run("python3", Place.of("traffic"), "down", Place.TARGET, "3000000");
    Check.that(ear.logged("the listener's onPackets threw"), "told: " + ear.log);
    tunnel.stop(60_000);
    mover.join();
  }

  /** Until the tunnel has ended. */
  private static void move(TunProxy tunnel, Device device) {
    ByteBuffer bytes = ByteBuffer.allocateDirect(BATCH * Place.MTU);
    int[] lengths = new int[BATCH];
    try {
      while (true) {
        bytes.clear();
        int count = read(device, bytes, lengths);
        bytes.flip();
        int done = 0;
        do {
          done += tunnel.push(bytes, lengths, done, count - done);
          if (done < count || count == 0) {
            Thread.sleep(1);
          }
        } while (done < count);
      }
    } catch (org.tunproxy.TunProxyException ended) {
      // That is how it learns.
    } catch (IOException | InterruptedException failure) {
      failure.printStackTrace();
      System.exit(1);
    }
  }

  private static int read(Device device, ByteBuffer bytes, int[] lengths) throws IOException {
    for (int count = 0; ; count++) {
      if (count == lengths.length) {
        return count;
      }
      bytes.limit(bytes.position() + Place.MTU);
      lengths[count] = device.in.read(bytes);
      if (lengths[count] <= 0) {
        return count;
      }
    }
  }

  private static void arguments(TunProxy tunnel) throws Exception {
    ByteBuffer some = ByteBuffer.allocateDirect(100);
    TunnelTest.expect(3, () -> tunnel.push(some, new int[] {20}, 0, 1));
    refused(() -> tunnel.push(ByteBuffer.allocate(100), new int[] {20}, 0, 1));
    refused(() -> tunnel.push(some, new int[] {50, 51}, 0, 2));
    refused(() -> tunnel.push(some, new int[] {-1}, 0, 1));
    refused(() -> tunnel.push(some, new int[] {1}, 0, 2));
    refused(() -> tunnel.push(some, new int[] {1}, -1, 1));
    Check.that(some.position() == 0, "nothing was taken");
    TunnelTest.expect(1, () -> tunnel.startPackets(1000));
  }

  private static void refused(TunnelTest.Call call) throws Exception {
    try {
      call.run();
    } catch (IllegalArgumentException | IndexOutOfBoundsException expected) {
      return;
    }
    throw new AssertionError("taken");
  }
}
