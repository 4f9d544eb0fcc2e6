#include "core/socks5/udp_traffic.h"

#include <utility>

#include "core/socks5/address_wire.h"

namespace tunproxy::socks5 {
namespace {

constexpr size_t kFixedHeader = 3;          // reserved, FRAG
constexpr size_t kMaxWireOverIpv4 = 65507;  // IPv4 counts its own header too
constexpr size_t kMaxWireOverIpv6 = 65527;

struct Reason {
  const char* name;
  uint64_t UdpStats::*count;
};
constexpr Reason kReasons[] = {
    {"stranger", &UdpStats::stranger},   {"wrong_port", &UdpStats::wrong_port},
    {"malformed", &UdpStats::malformed}, {"fragment", &UdpStats::fragment},
    {"too_long", &UdpStats::too_long},   {"early", &UdpStats::early},
    {"unsent", &UdpStats::unsent},       {"closed", &UdpStats::closed},
};

}  // namespace

uint64_t UdpStats::dropped() const {
  uint64_t all = 0;
  for (const Reason& reason : kReasons) all += this->*reason.count;
  return all;
}

void UdpStats::tell_drops(const std::string& where, std::map<std::string, uint64_t>& to) const {
  for (const Reason& reason : kReasons) {
    if (this->*reason.count != 0) to[where + "/" + reason.name] += this->*reason.count;
  }
}

std::optional<Datagram> UdpTraffic::unwrap(Bytes wire) {
  Result<Datagram> datagram = decode_datagram(wire);
  if (!datagram || datagram->address.port() == 0) {
    ++stats.malformed;
  } else if (datagram->fragment != 0) {
    ++stats.fragment;
  } else if (datagram->data.size() > io::UdpSocket::kMaxPayload) {
    ++stats.too_long;
  } else {
    return *std::move(datagram);
  }
  return std::nullopt;
}

bool UdpTraffic::send(io::UdpSocket& socket, const Endpoint& peer, const Target& address,
                      Bytes data) {
  const size_t limit = peer.address.is_v4() ? kMaxWireOverIpv4 : kMaxWireOverIpv6;
  if (kFixedHeader + address_size(address) + data.size() > limit) {
    ++stats.too_long;
    return false;
  }
  wire_.clear();
  encode(Datagram{0, address, data}, wire_);
  const bool sent = socket.send(peer, wire_);
  if (!sent) ++stats.unsent;
  return sent;
}

}  // namespace tunproxy::socks5
