import java.io.Console;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import org.tunproxy.LinuxTun;
import org.tunproxy.TunProxy;
import org.tunproxy.TunProxyConfig;
import org.tunproxy.TunProxyException;
import org.tunproxy.TunProxyHostKey;
import org.tunproxy.TunProxyListener;
import org.tunproxy.TunProxyState;

/**
 * A VPN in a page: opens a TUN interface and carries its packets through an SSH account, until Ctrl-C. Sockets
 * of its own carry a firewall mark, by which a rule leads them past the interface.
 *
 * <pre>
 * ip tuntap add dev demo0 mode tun && ip address add 10.9.0.1/24 dev demo0 && ip link set demo0 up
 * ip route add default dev demo0 table 77 && ip rule add not fwmark 0x77 lookup 77
 * java -Djava.library.path=DIR -cp tunproxy.jar Vpn.java demo0 user@host identity=FILE known-hosts=FILE [KEY=VALUE…]
 * </pre>
 */
final class Vpn implements TunProxyListener {
  private static final int MARK = 0x77;
  private static final int MTU = 1500;
  private static final int STOP_MILLIS = 5000;
  private final CountDownLatch ended = new CountDownLatch(1);

  public static void main(String[] arguments) throws Exception {
    if (arguments.length < 2) {
      System.err.println("usage: Vpn TUN USER@HOST [KEY=VALUE...]");
      System.exit(2);
    }
    System.exit(new Vpn().run(arguments));
  }

  private int run(String[] arguments) throws InterruptedException {
    try (TunProxy tunnel = new TunProxy(this)) {
      tunnel.configure(configuration(arguments));
      tunnel.start(LinuxTun.open(arguments[0]), MTU);
      ended.await(); // or Ctrl-C, which stops the tunnel as well
      tunnel.stop(STOP_MILLIS);
      return 1;
    } catch (TunProxyException failure) {
      System.err.println(failure.getMessage());
      return 1;
    }
  }

  private static TunProxyConfig configuration(String[] arguments) {
    TunProxyConfig config = new TunProxyConfig().set("ssh", arguments[1]);
    for (int i = 2; i < arguments.length; i++) {
      String[] parts = arguments[i].split("=", 2);
      config.set(parts[0], parts.length == 2 ? parts[1] : "true");
    }
    return config;
  }

  @Override
  public void onState(TunProxyState state, int reason, String text) {
    System.err.println(state + " " + text);
    if (state == TunProxyState.FAILED) {
      ended.countDown();
    }
  }

  @Override
  public void onLog(int level, String line) {
    System.err.println(line);
  }

  @Override
  public boolean onProtect(int socket) {
    return LinuxTun.mark(socket, MARK);
  }

  @Override
  public void onVerifyHostKey(Question question, TunProxyHostKey key) {
    ask(
        question,
        "Is " + key.type + " " + key.fingerprint + " the key of " + key.host + "? (yes/no) ",
        true);
  }

  @Override
  public void onAsk(Question question, String prompt, boolean echo) {
    ask(question, prompt, echo);
  }

  private static void ask(Question question, String prompt, boolean echo) {
    Console console = System.console();
    if (console == null) {
      question.refuse();
    } else if (echo) {
      question.answer(console.readLine("%s", prompt));
    } else {
      answer(question, console.readPassword("%s", prompt));
    }
  }

  private static void answer(Question question, char[] secret) {
    if (secret == null) {
      question.refuse();
      return;
    }
    ByteBuffer text = StandardCharsets.UTF_8.encode(CharBuffer.wrap(secret));
    byte[] bytes = new byte[text.remaining()];
    text.get(bytes);
    question.answer(bytes);
    Arrays.fill(bytes, (byte) 0);
    Arrays.fill(text.array(), (byte) 0);
    Arrays.fill(secret, ' ');
  }
}
