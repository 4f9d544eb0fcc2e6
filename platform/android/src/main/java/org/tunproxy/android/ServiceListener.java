package org.tunproxy.android;

import android.net.ConnectivityManager;
import android.net.Network;
import android.net.VpnService;
import android.os.Build;
import android.system.OsConstants;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import org.tunproxy.TunProxyHostKey;
import org.tunproxy.TunProxyListener;
import org.tunproxy.TunProxyState;

/** The app's listener, with the service's answers to what only it can do. */
final class ServiceListener implements TunProxyListener {
  private static final int TCP = 6;
  private static final long NETWORK_MILLIS = 20_000;

  /** What the service does when the tunnel's state changes. */
  interface StateListener {
    void onState(TunProxyState state, int reason);
  }

  private final VpnService service;
  private final UnderlyingNetwork network;
  private final TunProxyListener app;
  private final StateListener states;

  ServiceListener(
      VpnService service, UnderlyingNetwork network, TunProxyListener app, StateListener states) {
    this.service = service;
    this.network = network;
    this.app = app;
    this.states = states;
  }

  @Override
  public void onState(TunProxyState state, int reason, String text) {
    states.onState(state, reason);
    app.onState(state, reason, text);
  }

  @Override
  public void onLog(int level, String line) {
    app.onLog(level, line);
  }

  @Override
  public boolean onProtect(int fd) {
    return service.protect(fd);
  }

  @Override
  public void onVerifyHostKey(Question question, TunProxyHostKey key) {
    app.onVerifyHostKey(question, key);
  }

  @Override
  public void onAsk(Question question, String prompt, boolean echo) {
    app.onAsk(question, prompt, echo);
  }

  @Override
  public void onPackets(ByteBuffer packets, int[] lengths, int count) {
    app.onPackets(packets, lengths, count);
  }

  // The network below answers: in lockdown the tunnel's own look-up would wait for the tunnel. After
  // a start at boot it may take a moment to come.
  @Override
  public String[] onResolve(String name) {
    Network below = network.await(NETWORK_MILLIS);
    if (below == null) {
      return null;
    }
    try {
      InetAddress[] found = below.getAllByName(name);
      String[] texts = new String[found.length];
      for (int i = 0; i < found.length; i++) {
        texts[i] = found[i].getHostAddress();
      }
      return texts;
    } catch (UnknownHostException unknown) {
      return null;
    }
  }

  @Override
  public int onFlowOwner(
      int protocol, String localAddress, int localPort, String remoteAddress, int remotePort) {
    if (Build.VERSION.SDK_INT < Build.VERSION_CODES.Q || remoteAddress.isEmpty()) {
      return -1;
    }
    try {
      return service
          .getSystemService(ConnectivityManager.class)
          .getConnectionOwnerUid(
              protocol == TCP ? OsConstants.IPPROTO_TCP : OsConstants.IPPROTO_UDP,
              new InetSocketAddress(InetAddress.getByName(localAddress), localPort),
              new InetSocketAddress(InetAddress.getByName(remoteAddress), remotePort));
    } catch (UnknownHostException | SecurityException unknown) { // the latter: the VPN is revoked
      return -1;
    }
  }
}
