package org.tunproxy.test;

/** Runs one case, named by the argument, and prints "passed" at its end. */
public final class Main {
  private Main() {}

  public static void main(String[] arguments) throws Exception {
    switch (arguments[0]) {
      case "life":
        TunnelTest.life();
        break;
      case "cycles":
        TunnelTest.cycles();
        break;
      case "throwing":
        ThrowingTest.all();
        break;
      case "packets":
        PacketTest.all();
        break;
      case "leave":
        TunnelTest.leave(false);
        break;
      case "exit":
        TunnelTest.leave(true);
        break;
      default:
        throw new IllegalArgumentException(arguments[0]);
    }
    System.out.println("passed");
  }
}
