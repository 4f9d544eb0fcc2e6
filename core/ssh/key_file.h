// Private key files: OpenSSH's own format and PEM (PKCS#1, SEC1, PKCS#8).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/base/secret.h"

namespace tunproxy::ssh {

/// A key file as it was read, or a key that is in memory alone; what can be said of it without its
/// passphrase.
struct KeyFile {
  enum class Format : uint8_t { openssh, pem, public_only };

  std::string path;  ///< or what the key in memory is called
  Format format = Format::openssh;
  bool encrypted = false;
  Secret content;
  /// As in RFC 4253 §6.6; from the file itself or the .pub file beside it. May be empty for PEM.
  ByteVector public_blob;
  std::optional<Secret> known_passphrase;  ///< known beforehand: not asked for
  ByteVector certificate;                  ///< of the file "…-cert.pub" beside it; may be empty

  /// Reads and recognises. Errors (usage): it does not exist, it cannot be read, others may read it
  /// (as OpenSSH refuses it), it is not a key.
  static Result<KeyFile> read(const std::string& path);
  /// The same from memory. `name`: for messages, which without one say only what is wrong.
  /// `certificate`: the text of a "…-cert.pub" file; may be empty.
  static Result<KeyFile> from_memory(std::string name, Secret content,
                                     std::optional<Secret> passphrase,
                                     std::string_view certificate);

  /// False: certainly not the passphrase. OpenSSH's format is not tried here (it costs a tenth of a
  /// second): always true.
  bool may_open_with(const Secret& passphrase) const;
};

/// "ssh-ed25519 AAAA… comment": the blob; empty if `line` is anything else.
ByteVector parse_public_key(std::string_view line);
/// The certificate in a "…-cert.pub" file. Error usage: it cannot be read, it holds none.
Result<ByteVector> read_certificate(const std::string& path);

}  // namespace tunproxy::ssh
