// The algorithms of an SSH connection (RFC 4253 §7.1): what we offer, and what it means if the
// server has none of it.
#pragma once

#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"

struct _LIBSSH2_SESSION;

namespace tunproxy::ssh {

/// Names as OpenSSH writes them, best first, with commas between; empty: what we prefer.
struct Algorithms {
  std::string ciphers{};
  std::string macs{};
  std::string key_exchanges{};
  std::string host_keys{};
  std::string public_keys{};  ///< signatures in user authentication
};

/// Does a list with commas between have `name`?
bool list_has(std::string_view list, std::string_view name);

/// `wanted` with our own lists where it has none: AES-GCM leads the ciphers where the CPU has AES,
/// else ChaCha20. Of host keys the Login decides.
Algorithms with_defaults(Algorithms wanted);

/// Makes the session offer them. Error usage: of one of the lists libssh2 knows nothing.
Result<void> offer(_LIBSSH2_SESSION* session, const Algorithms& algorithms);

/// Why nothing could be agreed, for people: of which kind the server's packet (SSH_MSG_KEXINIT) has
/// nothing that was offered, and both lists.
Error no_agreement(const Algorithms& offered, Bytes kexinit);

}  // namespace tunproxy::ssh
