// Private key files: OpenSSH's own format and PEM (PKCS#1, SEC1, PKCS#8).
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/ssh/auth_credentials.h"

namespace tunproxy::ssh {

/// A key file as it was read; what can be said of it without its passphrase.
struct KeyFile {
  enum class Format : uint8_t { openssh, pem, public_only };

  std::string path;
  Format format = Format::openssh;
  bool encrypted = false;
  Secret content;
  /// As in RFC 4253 §6.6; from the file itself or the .pub file beside it. May be empty for PEM.
  ByteVector public_blob;

  /// Reads and recognises. Errors (usage): it does not exist, it cannot be read, others may read it
  /// (as OpenSSH refuses it), it is not a key.
  static Result<KeyFile> read(const std::string& path);

  /// False: certainly not the passphrase. OpenSSH's format is not tried here (it costs a tenth of a
  /// second): always true.
  bool may_open_with(const Secret& passphrase) const;
};

/// "ssh-ed25519 AAAA… comment": the blob; empty if `line` is anything else.
ByteVector parse_public_key(std::string_view line);

}  // namespace tunproxy::ssh
