// The messages of SOCKS4 and SOCKS4a, as pure functions in the manner of wire.h.
#pragma once

#include <optional>
#include <string>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/base/result.h"

namespace tunproxy::socks5 {

inline constexpr uint8_t kSocks4Granted = 0x5a;
inline constexpr uint8_t kSocks4Rejected = 0x5b;

/// A target that is a name travels as SOCKS4a.
struct Socks4Request {
  uint8_t command = 1;  ///< 1 CONNECT, 2 BIND
  Target target;        ///< IPv4 or a name
  std::string user;     ///< at most kSocks4MaxUser bytes, without NUL
  bool operator==(const Socks4Request&) const = default;
};
inline constexpr size_t kSocks4MaxUser = 255;

struct Socks4Reply {
  uint8_t code = kSocks4Granted;
  Endpoint bound;  ///< IPv4
  bool operator==(const Socks4Reply&) const = default;
};

Result<std::optional<Socks4Request>> decode_socks4_request(Bytes& input);
Result<std::optional<Socks4Reply>> decode_socks4_reply(Bytes& input);

/// Error address_not_supported for IPv6 and for 0.0.0.x, which cannot travel; usage for a user that
/// does not fit.
Result<void> encode(const Socks4Request& message, ByteVector& to);
Result<void> encode(const Socks4Reply& message, ByteVector& to);

}  // namespace tunproxy::socks5
