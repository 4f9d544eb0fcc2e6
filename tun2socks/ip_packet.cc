#include "tun2socks/ip_packet.h"

#include <algorithm>

#include "tun2socks/checksum.h"

namespace tunproxy::tun2socks {
namespace {

constexpr size_t kV4Header = 20;
constexpr size_t kV6Header = 40;
constexpr size_t kTcpHeader = 20;
constexpr int kMaxExtensionHeaders = 8;

bool all_zero(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

/// Broadcast, multicast and what RFC 6890 reserves are no host's address.
Drop check_v4(Bytes source, Bytes destination) {
  if (destination[0] >= 224 && destination[0] < 240) return Drop::multicast;
  if (load_be32(destination.data()) == 0xffffffff) return Drop::multicast;
  for (const Bytes address : {source, destination}) {
    if (address[0] == 0 || address[0] == 127 || address[0] >= 224) return Drop::bad_address;
  }
  return Drop::none;
}

Drop check_v6(Bytes source, Bytes destination) {
  if (destination[0] == 0xff) return Drop::multicast;
  for (const Bytes address : {source, destination}) {
    // ::, ::1 and IPv4-mapped or -compatible addresses never stand in a packet (RFC 4291 §2.5).
    if (address[0] == 0xff || all_zero(address.first(10))) return Drop::bad_address;
  }
  return Drop::none;
}

Drop parse_v4(MutableBytes packet, IpPacket& out) {
  if (packet.size() < kV4Header) return Drop::malformed;
  const size_t header = static_cast<size_t>(packet[0] & 15) * 4;
  const size_t total = load_be16(&packet[2]);
  if (header < kV4Header || total < header || total > packet.size()) return Drop::malformed;
  if (checksum(packet.first(header)) != 0) return Drop::bad_checksum;
  const uint16_t fragment = load_be16(&packet[6]);
  out.whole = packet.first(total);
  out.header_length = header;
  out.protocol = packet[9];
  out.v6 = false;
  out.fragment = (fragment & 0x3fff) != 0;
  return check_v4(out.source(), out.destination());
}

/// Walks the extension headers (RFC 8200 §4.1) up to the transport or fragment header.
Drop walk_extensions(IpPacket& out) {
  constexpr uint8_t kHopByHop = 0;
  constexpr uint8_t kRouting = 43;
  constexpr uint8_t kFragment = 44;
  constexpr uint8_t kDestination = 60;
  uint8_t next = out.whole[6];
  size_t at = kV6Header;
  for (int headers = 0; headers <= kMaxExtensionHeaders; ++headers) {
    const bool walks = next == kHopByHop || next == kRouting || next == kDestination;
    if (next == kHopByHop && headers > 0) return Drop::malformed;
    if (!walks && next != kFragment) {
      out.protocol = next;
      out.header_length = at;
      return Drop::none;
    }
    if (out.whole.size() - at < 8) return Drop::malformed;
    if (next == kFragment) {
      out.fragment = true;
      out.fragment_offset = at;
      out.protocol = out.whole[at];
      out.header_length = at + 8;
      return Drop::none;
    }
    const size_t length = 8 * (1 + static_cast<size_t>(out.whole[at + 1]));
    if (length > out.whole.size() - at) return Drop::malformed;
    next = out.whole[at];
    at += length;
  }
  return Drop::malformed;
}

Drop parse_v6(MutableBytes packet, IpPacket& out) {
  if (packet.size() < kV6Header) return Drop::malformed;
  const size_t total = kV6Header + load_be16(&packet[4]);
  if (total > packet.size()) return Drop::malformed;
  out.whole = packet.first(total);
  out.v6 = true;
  out.fragment = false;
  const Drop walked = walk_extensions(out);
  return walked != Drop::none ? walked : check_v6(out.source(), out.destination());
}

/// Kinds and lengths of RFC 9293 §3.2, RFC 7323 and RFC 2018.
bool options_ok(Bytes options, bool syn) {
  while (!options.empty() && options[0] != 0) {
    if (options[0] == 1) {
      options = options.subspan(1);
      continue;
    }
    if (options.size() < 2 || options[1] < 2 || options[1] > options.size()) return false;
    if (options[0] == 2 && (!syn || options[1] != 4)) return false;
    if (options[0] == 3 && (!syn || options[1] != 3)) return false;
    if (options[0] == 4 && (!syn || options[1] != 2)) return false;
    options = options.subspan(options[1]);
  }
  return true;
}

bool flags_ok(uint8_t flags) {
  const int exclusive =
      ((flags & kTcpSyn) != 0) + ((flags & kTcpFin) != 0) + ((flags & kTcpRst) != 0);
  return exclusive <= 1 && (exclusive == 1 || (flags & kTcpAck) != 0);
}

}  // namespace

Drop parse_ip(MutableBytes packet, IpPacket& out) {
  if (packet.empty()) return Drop::malformed;
  const int version = packet[0] >> 4;
  if (version == 4) return parse_v4(packet, out);
  if (version == 6) return parse_v6(packet, out);
  return Drop::malformed;
}

std::optional<TcpHeader> parse_tcp(Bytes segment) {
  if (segment.size() < kTcpHeader) return std::nullopt;
  TcpHeader header;
  header.length = static_cast<uint8_t>((segment[12] >> 4) * 4);
  if (header.length < kTcpHeader || header.length > segment.size()) return std::nullopt;
  header.source_port = load_be16(&segment[0]);
  header.destination_port = load_be16(&segment[2]);
  header.sequence = load_be32(&segment[4]);
  header.acknowledgement = load_be32(&segment[8]);
  header.flags = segment[13];
  header.payload_length = static_cast<uint32_t>(segment.size() - header.length);
  if (header.source_port == 0 || header.destination_port == 0 || !flags_ok(header.flags)) {
    return std::nullopt;
  }
  const bool syn = (header.flags & kTcpSyn) != 0;
  const Bytes options = segment.subspan(kTcpHeader, header.length - kTcpHeader);
  return options_ok(options, syn) ? std::optional(header) : std::nullopt;
}

std::optional<UdpHeader> parse_udp(Bytes datagram, bool whole_payload) {
  if (datagram.size() < UdpHeader::kLength) return std::nullopt;
  const size_t length = whole_payload ? datagram.size() : load_be16(&datagram[4]);
  if (length < UdpHeader::kLength || length > datagram.size()) return std::nullopt;
  return UdpHeader{load_be16(&datagram[0]), load_be16(&datagram[2]),
                   datagram.subspan(UdpHeader::kLength, length - UdpHeader::kLength)};
}

bool transport_checksum_ok(const IpPacket& packet) {
  const Bytes payload = packet.payload();
  // UDP over IPv4 may leave it out (RFC 768).
  if (packet.protocol == kProtocolUdp && !packet.v6 && payload.size() >= UdpHeader::kLength &&
      load_be16(&payload[6]) == 0) {
    return true;
  }
  ChecksumBuilder sum;
  sum.add_pseudo_header(packet.source(), packet.destination(), packet.protocol,
                        static_cast<uint32_t>(payload.size()));
  sum.add(payload);
  return sum.sum() == 0xffff;
}

}  // namespace tunproxy::tun2socks
