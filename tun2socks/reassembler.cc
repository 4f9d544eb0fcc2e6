#include "tun2socks/reassembler.h"

#include "lwip/ip.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/pbuf.h"
#include "tun2socks/packet_device.h"

namespace tunproxy::tun2socks {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(IP_TMR_INTERVAL);
constexpr Duration kMaxAge = std::chrono::seconds(IPV6_REASS_MAXAGE + 1);
static_assert(IPV6_REASS_MAXAGE >= IP_REASS_MAXAGE);

pbuf* add_v4(pbuf* packet) {
  return ip4_reass(packet);
}

/// ip6_reass wants the payload at the fragment header and the rest in lwIP's globals.
pbuf* add_v6(pbuf* packet, const IpPacket& fragment) {
  auto* const header = static_cast<ip6_hdr*>(packet->payload);
  ip_data.current_ip6_header = header;
  ip_data.current_ip_header_tot_len = static_cast<u16_t>(fragment.fragment_offset);
  std::memcpy(ip_2_ip6(&ip_data.current_iphdr_src)->addr, &header->src, 16);
  std::memcpy(ip_2_ip6(&ip_data.current_iphdr_dest)->addr, &header->dest, 16);
  IP_SET_TYPE_VAL(ip_data.current_iphdr_src, IPADDR_TYPE_V6);
  IP_SET_TYPE_VAL(ip_data.current_iphdr_dest, IPADDR_TYPE_V6);
  pbuf_remove_header(packet, fragment.fragment_offset);
  return ip6_reass(packet);
}

/// Every fragment but the last carries a multiple of 8 bytes, and some (RFC 8200 §4.5).
bool length_ok(const IpPacket& fragment) {
  const size_t at = fragment.fragment_offset;
  const bool more =
      fragment.v6 ? (fragment.whole[at + 3] & 1) != 0 : (fragment.whole[6] & 0x20) != 0;
  const size_t length = fragment.payload().size();
  return length > 0 && (!more || length % 8 == 0);
}

}  // namespace

Reassembler::Reassembler(io::Loop& loop) : loop_(loop), timer_(loop, [this] { on_timer(); }) {}

Reassembler::~Reassembler() {
  // Lets every datagram expire.
  for (int i = 0; i <= IPV6_REASS_MAXAGE; ++i) {
    ip_reass_tmr();
    ip6_reass_tmr();
  }
}

ByteVector Reassembler::add(const IpPacket& fragment) {
  if (!length_ok(fragment)) return {};
  const auto length = static_cast<u16_t>(fragment.whole.size());
  pbuf* const copy = pbuf_alloc(PBUF_RAW, length, PBUF_RAM);
  if (copy == nullptr) return {};
  std::memcpy(copy->payload, fragment.whole.data(), length);
  expires_ = loop_.now() + kMaxAge;
  if (!timer_.active()) timer_.start(kTick);
  pbuf* const whole = fragment.v6 ? add_v6(copy, fragment) : add_v4(copy);
  if (whole == nullptr) return {};
  ByteVector packet(whole->tot_len + PacketSink::kPacketSlack);
  pbuf_copy_partial(whole, packet.data(), whole->tot_len, 0);
  packet.resize(whole->tot_len);
  // lwIP 2.2.1 leaves the IPv6 payload length short by the fragment header.
  if (fragment.v6) store_be16(&packet[4], static_cast<uint16_t>(whole->tot_len - IP6_HLEN));
  pbuf_free(whole);
  return packet;
}

void Reassembler::on_timer() {
  ip_reass_tmr();
  ip6_reass_tmr();
  if (loop_.now() < expires_) timer_.start(kTick);
}

}  // namespace tunproxy::tun2socks
