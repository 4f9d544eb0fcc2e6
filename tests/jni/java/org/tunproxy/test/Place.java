package org.tunproxy.test;

import java.io.DataInputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.util.Random;
import org.tunproxy.TunProxyConfig;

/** Where the tests run: tests/integration/scenarios_java.py, which makes it and names it in properties. */
final class Place {
  static final int MARK = 0x77;
  static final int MTU = 1500;
  static final int ECHO_PORT = 7001;
  static final int SILENT_MILLIS = 60_000;
  static final String SERVER = "10.77.1.1";
  static final String TARGET = "203.0.113.1";
  static final String TUN = "jtun0";
  static final String PASSPHRASE = "correct horse";

  private Place() {}

  static String of(String property) {
    return System.getProperty("place." + property);
  }

  static int number(String property) {
    return Integer.getInteger("place." + property);
  }

  /** By name, with a host key that is unknown and a private key that has a passphrase. */
  static TunProxyConfig byName() {
    return new TunProxyConfig()
        .set("ssh", "root@server.test")
        .set("known-hosts", of("known_hosts_to_fill"))
        .set("host-key-policy", "ask")
        .set("identity", of("locked_key"));
  }

  /** Nothing is asked. */
  static TunProxyConfig byAddress() {
    return new TunProxyConfig()
        .toml(
            "ssh = 'root@"
                + SERVER
                + "'\nhost-key-policy = 'strict'\nknown-hosts = ['"
                + of("known_hosts")
                + "']\n")
        .set("identity", of("key"));
  }

  /** A flow through the TUN, whose every byte comes back. */
  static void echo(int length) throws IOException {
    byte[] sent = new byte[length];
    new Random(length).nextBytes(sent);
    byte[] back = new byte[length];
    try (Socket socket = new Socket()) {
      socket.setSoTimeout(SILENT_MILLIS);
      socket.connect(new InetSocketAddress(TARGET, ECHO_PORT), SILENT_MILLIS);
      socket.getOutputStream().write(sent);
      new DataInputStream(socket.getInputStream()).readFully(back);
    }
    Check.that(java.util.Arrays.equals(sent, back), "the echo is another one");
  }

  /** Ends every SSH connection at the server, without a goodbye. */
  static void cut() {
    ProcessHandle.of(Long.getLong("place.sshd"))
        .orElseThrow()
        .descendants()
        .forEach(ProcessHandle::destroyForcibly);
  }
}
