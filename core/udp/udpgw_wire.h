// Frames of badvpn's udpgw, as found on existing SSH-VPN servers: UDP over one TCP stream. Pure.
//
//   u16 LE length | u8 flags | u16 LE connection | address | datagram
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/base/result.h"

namespace tunproxy::udp {

struct UdpgwFrame {
  static constexpr uint8_t kKeepalive = 0x01;  ///< nothing but flags and connection
  static constexpr uint8_t kRebind = 0x02;     ///< forget the connection's old mapping
  static constexpr uint8_t kDns = 0x04;        ///< for the server's own resolver
  static constexpr uint8_t kIpv6 = 0x08;       ///< follows from `remote` when encoded

  uint8_t flags = 0;
  uint16_t connection = 0;
  Endpoint remote;  ///< the original destination, in both directions
  Bytes data;       ///< in the bytes that were decoded
};

inline constexpr size_t kUdpgwMaxData = 65535 - 3 - 18;

/// nullopt: more bytes are needed. On success `input` moves behind the frame. Error protocol.
Result<std::optional<UdpgwFrame>> decode_udpgw(Bytes& input);
/// Appends. REQUIRES: data.size() <= kUdpgwMaxData
void encode(const UdpgwFrame& frame, ByteVector& to);

}  // namespace tunproxy::udp
