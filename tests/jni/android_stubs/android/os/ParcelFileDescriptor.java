package android.os;

import java.io.Closeable;
import java.io.IOException;

/** A stub of the platform's class, to compile against. */
public class ParcelFileDescriptor implements Closeable {
  public static ParcelFileDescriptor adoptFd(int fd) {
    return new ParcelFileDescriptor();
  }

  public int detachFd() {
    return -1;
  }

  @Override
  public void close() throws IOException {}
}
