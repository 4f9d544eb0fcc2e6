#include "tun2socks/icmp.h"

#include <algorithm>

#include "tun2socks/checksum.h"

namespace tunproxy::tun2socks {
namespace {

constexpr size_t kIcmpHeader = 8;
constexpr size_t kV4ErrorSize = 576;
constexpr size_t kV6ErrorSize = 1280;

bool is_v6(Bytes packet) {
  return packet[0] >> 4 == 6;
}

uint16_t icmp_checksum(Bytes source, Bytes destination, Bytes message) {
  ChecksumBuilder sum;
  if (source.size() == 16) {
    sum.add_pseudo_header(source, destination, kProtocolIcmpV6,
                          static_cast<uint32_t>(message.size()));
  }
  sum.add(message);
  return sum.checksum();
}

}  // namespace

std::optional<Unreachable> unreachable_for(ErrorCode code) {
  switch (code) {
    case ErrorCode::network_unreachable:
      return Unreachable{0, 0};
    case ErrorCode::not_allowed:
      return Unreachable{13, 1};
    case ErrorCode::host_unreachable:
    case ErrorCode::timed_out:
    case ErrorCode::server_unreachable:
    case ErrorCode::host_key_refused:
    case ErrorCode::authentication_failed:
    case ErrorCode::device_lost:
    case ErrorCode::no_permission:
    case ErrorCode::limit:
      return Unreachable{1, 3};
    case ErrorCode::general:
    case ErrorCode::refused:
    case ErrorCode::command_not_supported:
    case ErrorCode::address_not_supported:
    case ErrorCode::reset:
    case ErrorCode::protocol:
    case ErrorCode::cancelled:
    case ErrorCode::usage:
      return std::nullopt;
  }
  return std::nullopt;
}

ByteVector make_unreachable(Bytes offender, Unreachable code) {
  const bool v6 = is_v6(offender);
  const Bytes source = v6 ? offender.subspan(24, 16) : offender.subspan(16, 4);
  const Bytes destination = v6 ? offender.subspan(8, 16) : offender.subspan(12, 4);
  const size_t header = v6 ? 40 : 20;
  const size_t room = (v6 ? kV6ErrorSize : kV4ErrorSize) - header - kIcmpHeader;
  const Bytes quoted = offender.first(std::min(offender.size(), room));
  ByteVector packet = make_ip(source, destination, v6 ? kProtocolIcmpV6 : kProtocolIcmp,
                              kIcmpHeader + quoted.size());
  uint8_t* const icmp = packet.data() + header;
  icmp[0] = v6 ? 1 : 3;
  icmp[1] = v6 ? code.v6 : code.v4;
  std::copy(quoted.begin(), quoted.end(), icmp + kIcmpHeader);
  const Bytes message = Bytes(packet).subspan(header);
  store_be16(icmp + 2, icmp_checksum(source, destination, message));
  return packet;
}

bool turn_into_echo_reply(const IpPacket& packet) {
  const MutableBytes message = packet.payload();
  const uint8_t request = packet.v6 ? 128 : 8;
  const uint8_t reply = packet.v6 ? 129 : 0;
  if (message.size() < kIcmpHeader || message[0] != request || message[1] != 0) return false;
  message[0] = reply;
  const size_t address = packet.v6 ? 16 : 4;
  uint8_t* const source = &packet.whole[packet.v6 ? 8 : 12];
  std::swap_ranges(source, source + address, source + address);
  store_be16(&message[2], 0);
  store_be16(&message[2], icmp_checksum(packet.source(), packet.destination(), message));
  return true;
}

}  // namespace tunproxy::tun2socks
