// The messages of SOCKS5 (RFC 1928), its user/password sub-negotiation (RFC 1929) and its UDP
// header, as pure functions for both roles.
//
// decode_*(input): the message, and `input` moved behind it; nullopt and `input` untouched if more
// bytes are needed; an Error as soon as the bytes cannot become a message. encode(message, to)
// appends.
#pragma once

#include <optional>
#include <string>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/base/result.h"

namespace tunproxy::socks5 {

inline constexpr uint8_t kVersion = 5;

/// RFC 1928 §3.
enum class Method : uint8_t { none = 0x00, user_password = 0x02, no_acceptable = 0xff };

/// §4, and 5: "UDP in TCP" of the hev server.
enum class Command : uint8_t { connect = 1, bind = 2, udp_associate = 3, udp_in_tcp = 5 };

/// §3, client to server: the methods it can do, 1–255 of them.
struct Greeting {
  ByteVector methods;

  bool offers(Method method) const;
  bool operator==(const Greeting&) const = default;
};

/// §3, server to client.
struct MethodChoice {
  Method method = Method::none;
  bool operator==(const MethodChoice&) const = default;
};

inline constexpr size_t kMaxCredential = 255;

/// RFC 1929 §2, client to server; each 1–255 bytes.
struct Credentials {
  std::string user;
  std::string password;

  /// Error usage if one is empty or too long for the wire.
  Result<void> check() const;
  bool operator==(const Credentials&) const = default;
};

/// RFC 1929 §2, server to client: anything but 0 is a refusal.
struct CredentialsStatus {
  uint8_t status = 0;
  bool operator==(const CredentialsStatus&) const = default;
};

/// §4. `command` may be one that we do not know: the server answers 07.
struct Request {
  Command command = Command::connect;
  Target target;
  bool operator==(const Request&) const = default;
};

/// §6; see reply.h for the codes.
struct Reply {
  uint8_t code = 0;
  Target bound;  ///< 0.0.0.0:0 where it is not known
  bool operator==(const Reply&) const = default;
};

/// §7: a datagram with its header. `data` lives as long as the bytes it was decoded from. Those
/// with a fragment number other than 0 are to be dropped.
struct Datagram {
  uint8_t fragment = 0;
  Target address;  ///< the destination, or in replies the real sender
  Bytes data;
};

Result<std::optional<Greeting>> decode_greeting(Bytes& input);
Result<std::optional<MethodChoice>> decode_method_choice(Bytes& input);
Result<std::optional<Credentials>> decode_credentials(Bytes& input);
Result<std::optional<CredentialsStatus>> decode_credentials_status(Bytes& input);
/// Error address_not_supported (08) for an unknown address type, else protocol.
Result<std::optional<Request>> decode_request(Bytes& input);
Result<std::optional<Reply>> decode_reply(Bytes& input);
/// A datagram is all there or wrong: truncation is an Error.
Result<Datagram> decode_datagram(Bytes datagram);

void encode(const Greeting& message, ByteVector& to);
void encode(const MethodChoice& message, ByteVector& to);
void encode(const Credentials& message, ByteVector& to);  ///< REQUIRES: check()
void encode(const CredentialsStatus& message, ByteVector& to);
void encode(const Request& message, ByteVector& to);
void encode(const Reply& message, ByteVector& to);
void encode(const Datagram& message, ByteVector& to);

/// What speaks on a new connection, told by its first byte.
enum class Protocol { socks5, socks4, http, unknown };
Protocol detect(uint8_t first_byte);

}  // namespace tunproxy::socks5
