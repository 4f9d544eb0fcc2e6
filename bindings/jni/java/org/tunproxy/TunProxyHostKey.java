package org.tunproxy;

/** A server's key that is not known yet. */
public final class TunProxyHostKey {
  /** As it is written in a known_hosts file: "host" or "[host]:port". */
  public final String host;

  /** "ssh-ed25519" … */
  public final String type;

  /** "SHA256:…", as OpenSSH shows it. */
  public final String fingerprint;

  /** To be kept, and set as {@code known-host} the next time: "host ssh-ed25519 AAAA…". */
  public final String line;

  TunProxyHostKey(String host, String type, String fingerprint, String line) {
    this.host = host;
    this.type = type;
    this.fingerprint = fingerprint;
    this.line = line;
  }
}
