package android.os;

import android.test.Device;
import java.io.Closeable;
import java.io.IOException;

/**
 * A stub of the platform's class. The interface that it stands for is opened when its descriptor is
 * detached, as Java cannot duplicate one.
 */
public class ParcelFileDescriptor implements Closeable {
  private final boolean duplicate;
  private boolean closed;

  public ParcelFileDescriptor() {
    this(false);
    Device.now.interfaces++;
  }

  private ParcelFileDescriptor(boolean duplicate) {
    this.duplicate = duplicate;
  }

  public static ParcelFileDescriptor adoptFd(int fd) {
    Device.now.adopted.add(fd);
    return new ParcelFileDescriptor(true);
  }

  public ParcelFileDescriptor dup() throws IOException {
    if (closed) {
      throw new IOException("closed");
    }
    return new ParcelFileDescriptor(true);
  }

  public int detachFd() {
    if (closed) {
      throw new IllegalStateException("closed");
    }
    closed = true;
    return Device.now.openTun.getAsInt();
  }

  @Override
  public void close() throws IOException {
    if (!closed && !duplicate) {
      Device.now.interfaces--;
    }
    closed = true;
  }
}
