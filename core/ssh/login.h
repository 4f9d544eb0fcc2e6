// Login: what happens between an SSH connection's key exchange and its first channel: the host key
// is checked and the user authenticates.
#pragma once

#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"

struct _LIBSSH2_SESSION;

namespace tunproxy::ssh {

/// The host key that the server proved to have (RFC 4253 §8).
struct HostKey {
  std::string type;  ///< "ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa" …
  ByteVector blob;   ///< as in RFC 4253 §6.6
};

/// Used by one Session, for one connection. prefer() in the loop thread before key exchange;
/// check_host_key() once, then authenticate() again and again, in a thread of its own while the
/// loop thread leaves the session alone. Both may block (files, the agent, slow key derivation, the
/// user).
class Login {
 public:
  virtual ~Login() = default;

  /// Host key algorithms in the order to offer, best known first, as in LIBSSH2_METHOD_HOSTKEY.
  virtual std::string host_key_algorithms() = 0;
  /// Error host_key_refused, with a message as helpful as OpenSSH's, unless the key is to be
  /// trusted; cancelled after cancel().
  virtual Result<void> check_host_key(const HostKey& key) = 0;

  /// One step; the session is non-blocking. True: authenticated. False: the server has yet to
  /// answer, call again when bytes came. Error authentication_failed with an account of what was
  /// tried.
  virtual Result<bool> authenticate(_LIBSSH2_SESSION* session) = 0;

  /// The user is being asked right now, so that no timeout should run. Any thread.
  virtual bool waits_for_user() const = 0;
  /// From the loop thread: makes a blocked step return soon.
  virtual void cancel() = 0;
};

}  // namespace tunproxy::ssh
