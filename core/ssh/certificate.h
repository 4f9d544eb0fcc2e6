// Certificates of OpenSSH (its PROTOCOL.certkeys): a public key, and who vouches for what about it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace tunproxy::ssh {

struct Certificate {
  enum class Kind : uint8_t { user = 1, host = 2 };

  std::string type;  ///< "ssh-ed25519-cert-v01@openssh.com"
  ByteVector key;    ///< the plain public key (RFC 4253 §6.6)
  uint64_t serial = 0;
  Kind kind = Kind::user;
  std::string id;                        ///< for people
  std::vector<std::string> principals;   ///< names of users or hosts; none: of all
  uint64_t valid_after = 0;              ///< seconds since 1970
  uint64_t valid_before = 0;             ///< the first second in which it is not valid any more
  std::vector<std::string> constraints;  ///< names of critical options
  ByteVector authority;                  ///< the public key that signed
  ByteVector signature;
  ByteVector signed_part;
};

/// "…-cert-v01@openssh.com"
bool is_certificate(std::string_view key_type);
/// "ssh-rsa" for "ssh-rsa-cert-v01@openssh.com"; what is no certificate's type stays as it is.
std::string plain_type(std::string_view key_type);

/// Reads it; says nothing about its signature or validity. Error protocol if it is malformed.
Result<Certificate> parse_certificate(Bytes blob);

/// Is it a certificate for the host `name` now (seconds since 1970), signed by the authority that
/// it names? An Error host_key_refused says why not. Whether to trust that authority is another
/// question. RSA signatures with SHA-1 do not count.
Result<void> check_host_certificate(const Certificate& certificate, std::string_view name,
                                    uint64_t now);

/// "until 2027-01-31", "expired on …", "valid from …" at `now`; in UTC.
std::string describe_validity(const Certificate& certificate, uint64_t now);

}  // namespace tunproxy::ssh
