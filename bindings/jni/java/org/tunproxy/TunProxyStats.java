package org.tunproxy;

/** Counters since the start; bytes are those of payload. */
public final class TunProxyStats {
  static final int VALUES = 12;

  public final TunProxyState state;
  public final int sessions;
  public final int tcpFlows;
  public final int udpFlows;
  public final long flows;
  public final long refused;
  public final long bytesUp;
  public final long bytesDown;
  public final long packetsIn;
  public final long packetsOut;
  public final long packetsDropped;
  public final long reconnects;

  TunProxyStats(long[] values) {
    state = TunProxy.stateOf((int) values[0]);
    sessions = (int) values[1];
    tcpFlows = (int) values[2];
    udpFlows = (int) values[3];
    flows = values[4];
    refused = values[5];
    bytesUp = values[6];
    bytesDown = values[7];
    packetsIn = values[8];
    packetsOut = values[9];
    packetsDropped = values[10];
    reconnects = values[11];
  }
}
