// Reading IP, TCP and UDP headers: pure functions over a packet's bytes, which they never read
// past.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "tun2socks/stats.h"

namespace tunproxy::tun2socks {

inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint8_t kProtocolUdp = 17;
inline constexpr uint8_t kProtocolIcmpV6 = 58;

/// A validated IP packet; views into the packet's memory.
struct IpPacket {
  MutableBytes whole;          ///< header and payload, trimmed to the length the header says
  size_t header_length = 0;    ///< up to the transport header, IPv6 extension headers included
  size_t fragment_offset = 0;  ///< where the IPv6 fragment header stands
  uint8_t protocol = 0;        ///< of what follows header_length
  bool v6 = false;
  bool fragment = false;

  MutableBytes payload() const { return whole.subspan(header_length); }
  Bytes source() const { return v6 ? Bytes(whole).subspan(8, 16) : Bytes(whole).subspan(12, 4); }
  Bytes destination() const {
    return v6 ? Bytes(whole).subspan(24, 16) : Bytes(whole).subspan(16, 4);
  }
  IpAddress source_address() const { return to_address(source()); }
  IpAddress destination_address() const { return to_address(destination()); }

 private:
  static IpAddress to_address(Bytes bytes) {
    return bytes.size() == 4 ? IpAddress::v4(bytes.data()) : IpAddress::v6(bytes.data());
  }
};

/// Checks version, lengths, the IPv4 header checksum, addresses and the IPv6 header chain (RFC 791,
/// RFC 8200 §4). Returns Drop::none and fills `out`, or says why the packet is of no use.
Drop parse_ip(MutableBytes packet, IpPacket& out);

enum TcpFlag : uint8_t { kTcpFin = 1, kTcpSyn = 2, kTcpRst = 4, kTcpPsh = 8, kTcpAck = 16 };

/// A validated TCP header (RFC 9293 §3.1) in host order.
struct TcpHeader {
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint32_t sequence = 0;
  uint32_t acknowledgement = 0;
  uint8_t flags = 0;
  uint8_t length = 0;  ///< options included
  uint32_t payload_length = 0;

  bool opens() const { return (flags & (kTcpSyn | kTcpAck | kTcpRst)) == kTcpSyn; }
  /// What the segment takes of the sequence space.
  uint32_t sequence_length() const {
    return payload_length + ((flags & kTcpSyn) != 0 ? 1U : 0U) + ((flags & kTcpFin) != 0 ? 1U : 0U);
  }
};

/// nullopt: lengths, options or a combination of flags that no TCP sends. Options are checked to
/// the last byte, because lwIP reads truncated ones past their end and takes an MSS outside a SYN.
std::optional<TcpHeader> parse_tcp(Bytes segment);

struct UdpHeader {
  static constexpr size_t kLength = 8;

  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  Bytes payload;
};

/// nullopt if the lengths do not fit (RFC 768). A datagram that stands for several (USO) may be
/// longer than its length field says: then `whole_payload` takes it all.
std::optional<UdpHeader> parse_udp(Bytes datagram, bool whole_payload);

/// Whether the transport checksum (TCP, UDP, ICMPv6; with the pseudo-header) is right.
bool transport_checksum_ok(const IpPacket& packet);

}  // namespace tunproxy::tun2socks
