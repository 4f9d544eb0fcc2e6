package org.tunproxy.test;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;

/** Expectations, bounded waits and commands. */
final class Check {
  static final int LIMIT_SECONDS = 100;

  /** Something that may fail in any way. */
  interface Condition {
    boolean holds() throws Exception;
  }

  private Check() {}

  static void that(boolean good, String what) {
    if (!good) {
      throw new AssertionError(what);
    }
  }

  static void until(Condition condition, String what) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(LIMIT_SECONDS);
    while (!condition.holds()) {
      that(System.nanoTime() < deadline, "waited in vain: " + what);
      Thread.sleep(5);
    }
  }

  /** What a command printed; it must succeed. */
  static String run(String... command) throws IOException, InterruptedException {
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().remove("LD_PRELOAD"); // of the sanitizers, which are for this process
    Process process = builder.start();
    process.getOutputStream().close();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    that(process.waitFor() == 0, String.join(" ", command) + ": " + output);
    return output.trim();
  }
}
