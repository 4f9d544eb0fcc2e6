package org.tunproxy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The configuration of a tunnel, with the keys of the command line and of configuration files
 * (docs/configuration.md). Secrets are wiped by {@link #wipe}, which {@link TunProxy} does not do by itself.
 */
public final class TunProxyConfig {
  static final class Entry {
    final String key;
    final String value;

    Entry(String key, String value) {
      this.key = key;
      this.value = value;
    }
  }

  static final class SecretEntry {
    final String key;
    final byte[] value;

    SecretEntry(String key, byte[] value) {
      this.key = key;
      this.value = value;
    }
  }

  final List<String> texts = new ArrayList<>();
  final List<Entry> entries = new ArrayList<>();
  final List<SecretEntry> secrets = new ArrayList<>();

  /** All the keys of a TOML text. */
  public TunProxyConfig toml(String text) {
    texts.add(text);
    return this;
  }

  /** One key, such as {@code ssh} with {@code user@host}; a list gets one more value. */
  public TunProxyConfig set(String key, String value) {
    entries.add(new Entry(key, value));
    return this;
  }

  /** A secret, such as {@code ssh-password} or {@code private-key}. It is copied. */
  public TunProxyConfig secret(String key, byte[] value) {
    secrets.add(new SecretEntry(key, value.clone()));
    return this;
  }

  /** Overwrites the copies of secrets, which are gone then. */
  public void wipe() {
    for (SecretEntry secret : secrets) {
      Arrays.fill(secret.value, (byte) 0);
    }
    secrets.clear();
  }
}
