package org.tunproxy.android;

import android.content.ComponentCallbacks2;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.tunproxy.TunProxy.MemoryPressure;

/**
 * Turns the system's calls for memory into pressures. The system never says that all is well again: that is
 * assumed when it has been silent for a while.
 */
final class MemoryWatch {
  static final long RELIEF_MILLIS = 60_000;

  private final ScheduledExecutorService worker;
  private final Consumer<MemoryPressure> listener;
  private ScheduledFuture<?> relief;

  MemoryWatch(ScheduledExecutorService worker, Consumer<MemoryPressure> listener) {
    this.worker = worker;
    this.listener = listener;
  }

  // The levels are no scale: UI_HIDDEN and BACKGROUND say where the app is, not that memory is short.
  static MemoryPressure pressure(int trimLevel) {
    switch (trimLevel) {
      case ComponentCallbacks2.TRIM_MEMORY_RUNNING_MODERATE:
      case ComponentCallbacks2.TRIM_MEMORY_RUNNING_LOW:
        return MemoryPressure.MODERATE;
      case ComponentCallbacks2.TRIM_MEMORY_RUNNING_CRITICAL:
      case ComponentCallbacks2.TRIM_MEMORY_MODERATE:
      case ComponentCallbacks2.TRIM_MEMORY_COMPLETE:
        return MemoryPressure.CRITICAL;
      default:
        return MemoryPressure.NONE;
    }
  }

  synchronized void forget() {
    if (relief != null) {
      relief.cancel(false);
    }
  }

  void onTrim(int level) {
    pressed(pressure(level), RELIEF_MILLIS);
  }

  synchronized void pressed(MemoryPressure pressure, long reliefMillis) {
    if (pressure == MemoryPressure.NONE) {
      return;
    }
    if (relief != null) {
      relief.cancel(false);
    }
    listener.accept(pressure);
    try {
      relief =
          worker.schedule(
              () -> listener.accept(MemoryPressure.NONE), reliefMillis, TimeUnit.MILLISECONDS);
    } catch (RejectedExecutionException ended) {
      relief = null;
    }
  }
}
