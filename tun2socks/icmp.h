// ICMP and ICMPv6 messages of our own making: echo replies and "unreachable" (RFC 792, RFC 4443).
// Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "tun2socks/ip_packet.h"
#include "tun2socks/ip_writer.h"

namespace tunproxy::tun2socks {

/// The "unreachable" codes of both versions.
struct Unreachable {
  uint8_t v4 = 0;  ///< code of type 3
  uint8_t v6 = 0;  ///< code of type 1

  static constexpr Unreachable port() { return {3, 4}; }
};

/// What an application is told when its connection could not be made: nullopt is a TCP reset
/// (ECONNREFUSED), else ICMP (ENETUNREACH, EHOSTUNREACH, EACCES).
std::optional<Unreachable> unreachable_for(ErrorCode code);

/// The whole IP packet that tells the sender of `offender` (a whole IP packet of at least a header)
/// that it could not be delivered. It quotes what RFC 1812 §4.3.2.3 and RFC 4443 §2.4 allow.
ByteVector make_unreachable(Bytes offender, Unreachable code);

/// Turns an echo request into its reply, in place. False: it is no well-formed echo request.
bool turn_into_echo_reply(const IpPacket& packet);

}  // namespace tunproxy::tun2socks
