// ServerHandshake: the server's side of what comes before a flow, in all the languages that clients
// of one port speak, as bytes in and bytes out.
#pragma once

#include <string>

#include "core/base/bytes.h"
#include "core/socks5/wire.h"

namespace tunproxy::socks5 {

/// Owned by one connection and dropped once the request is known. No I/O, no clock.
///
///   first_byte ─┬─► greeting ─┬─► credentials ──► checking ─┬─► request ──► complete
///               │             └─────────────────────────────┘                  ▲
///               ├─► http ───────────────────────► checking ────────────────────┤
///               │    └─────────────────────────────────────────────────────────┤
///               └─► socks4 ────────────────────────────────────────────────────┘
///   From every state but complete: failed.
class ServerHandshake {
 public:
  enum class State : uint8_t {
    first_byte,
    greeting,
    credentials,
    socks4,
    http,
    checking,  ///< the caller is to find out whether credentials() are right
    request,
    complete,
    failed
  };

  /// `authenticate`: clients have to name a user and a password. SOCKS4 cannot, and is refused.
  explicit ServerHandshake(bool authenticate) : authenticate_(authenticate) {}

  /// Takes bytes of the client and returns how many: never any behind the request, nor behind the
  /// credentials before on_checked(). Answers are appended to `out`, also the one that says why it
  /// failed.
  size_t feed(Bytes input, ByteVector& out);
  /// REQUIRES: checking
  void on_checked(bool right, ByteVector& out);
  /// The credentials cannot be looked at now: too many others are. REQUIRES: checking
  void on_overload(ByteVector& out);

  State state() const { return state_; }
  Protocol protocol() const { return protocol_; }  ///< unknown before the first byte
  const Credentials& credentials() const { return credentials_; }  ///< REQUIRES: checking
  /// The user whose password was right; empty if nobody has to authenticate. SOCKS4's user is not
  /// one: anybody can claim to be it.
  const std::string& user() const { return user_; }
  const Request& request() const { return request_; }      ///< REQUIRES: complete
  const std::string& failure() const { return failure_; }  ///< REQUIRES: failed; for people

 private:
  bool waits() const { return state_ == State::checking || state_ >= State::complete; }
  void step(Bytes& input, ByteVector& out);
  void on_first_byte(uint8_t first);
  void read_greeting(Bytes& input, ByteVector& out);
  void read_credentials(Bytes& input, ByteVector& out);
  void read_request(Bytes& input, ByteVector& out);
  void read_socks4(Bytes& input, ByteVector& out);
  void read_http(Bytes& input, ByteVector& out);
  void check(Credentials given);
  void forget_password();
  void reject_socks4(std::string why, ByteVector& out);
  void reject_http(int status, std::string why, ByteVector& out);
  void fail(std::string why);

  const bool authenticate_;
  ByteVector buffer_;  // the part of a message that has come so far
  State state_ = State::first_byte;
  Protocol protocol_ = Protocol::unknown;
  Credentials credentials_;
  std::string user_;
  Request request_;
  std::string failure_;
};

}  // namespace tunproxy::socks5
