package org.tunproxy;

import java.util.HashSet;
import java.util.Set;

/**
 * Stops the tunnels that the app left open, before the process ends under them: their threads are no
 * threads of Java, which would wait for nobody.
 */
final class Shutdown {
  private static final int STOP_MILLIS = 2000;
  private static final Set<TunProxy> open = new HashSet<>();

  static {
    Runtime.getRuntime().addShutdownHook(new Thread(Shutdown::run, "tunproxy-shutdown"));
  }

  private Shutdown() {}

  static synchronized void add(TunProxy tunnel) {
    open.add(tunnel);
  }

  static synchronized void remove(TunProxy tunnel) {
    open.remove(tunnel);
  }

  private static void run() {
    TunProxy[] left;
    synchronized (Shutdown.class) {
      left = open.toArray(new TunProxy[0]);
    }
    for (TunProxy tunnel : left) {
      try {
        tunnel.stop(STOP_MILLIS);
      } catch (TunProxyException closed) {
        // It ended meanwhile, or does not end in time.
      }
    }
  }
}
