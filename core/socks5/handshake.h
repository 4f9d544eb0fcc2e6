// ServerHandshake: the server's side of what comes before a flow, as bytes in and bytes out.
#pragma once

#include <optional>
#include <string>

#include "core/base/bytes.h"
#include "core/socks5/wire.h"

namespace tunproxy::socks5 {

/// Owned by one connection and dropped once the request is known. No I/O, no clock.
///
///   greeting ──► credentials ──► request ──► complete
///       └────────────┴──────────────┴──────► failed
class ServerHandshake {
 public:
  enum class State : uint8_t { greeting, credentials, request, complete, failed };

  /// `required` empty: nobody has to authenticate. REQUIRES: `required` outlives this.
  explicit ServerHandshake(const std::optional<Credentials>& required) : required_(required) {}

  /// Takes bytes of the client and returns how many: never any behind the request. Answers are
  /// appended to `out`, also the one that says why it failed.
  size_t feed(Bytes input, ByteVector& out);

  State state() const { return state_; }
  const Request& request() const { return request_; }      ///< REQUIRES: complete
  const std::string& failure() const { return failure_; }  ///< REQUIRES: failed; for people

 private:
  void step(Bytes& input, ByteVector& out);
  void on_first_byte(uint8_t first, ByteVector& out);
  void on_greeting(const Greeting& greeting, ByteVector& out);
  void on_credentials(const Credentials& given, ByteVector& out);
  void fail(std::string why);

  const std::optional<Credentials>& required_;
  ByteVector buffer_;  // the part of a message that has come so far
  State state_ = State::greeting;
  Request request_;
  std::string failure_;
};

}  // namespace tunproxy::socks5
