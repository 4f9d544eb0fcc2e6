// AuthWire: the messages of user authentication over a session's transport layer.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "core/base/bytes.h"
#include "core/base/result.h"

struct _LIBSSH2_SESSION;

namespace tunproxy::ssh {

/// Used in the worker thread that runs a login step. libssh2 keeps the transport layer; what
/// belongs to authentication it hands over here and never sees.
class AuthWire {
 public:
  AuthWire() = default;
  AuthWire(const AuthWire&) = delete;
  AuthWire& operator=(const AuthWire&) = delete;
  ~AuthWire();

  /// Takes the message; it is wiped when it is out.
  void queue(ByteVector message);
  /// Sends what is queued. False: keys are being exchanged, try again when bytes came.
  Result<bool> flush(_LIBSSH2_SESSION* session);
  /// The next message, or empty: none came yet. An Error reset: the connection is lost, with the
  /// server's own words if it had any. After the message of success nothing more is read.
  Result<std::optional<ByteVector>> read(_LIBSSH2_SESSION* session);

  /// server-sig-algs (RFC 8308 §3.1); empty if the server sent none.
  static std::string signature_algorithms(_LIBSSH2_SESSION* session);

 private:
  class Taking;
  static int on_packet(_LIBSSH2_SESSION* session, unsigned char* data, size_t length, void** self);

  ByteVector out_;
  std::optional<ByteVector> in_;
  std::string farewell_;
};

}  // namespace tunproxy::ssh
