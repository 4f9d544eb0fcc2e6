#include "tun2socks/outgoing_tcp.h"

#include "tun2socks/checksum.h"
#include "tun2socks/ip_packet.h"

namespace tunproxy::tun2socks {
namespace {

constexpr uint16_t kTcpChecksumOffset = 16;
constexpr size_t kTcpHeader = 20;

}  // namespace

Offload finish_tcp(const OutgoingTcp& packet, uint16_t mtu, bool offloads) {
  const bool v6 = packet.headers[0] >> 4 == 6;
  const size_t ip_length = v6 ? 40 : 20;  // lwIP sends no options or extension headers
  const Bytes headers = packet.headers;
  ChecksumBuilder sum;
  sum.add_pseudo_header(v6 ? headers.subspan(8, 16) : headers.subspan(12, 4),
                        v6 ? headers.subspan(24, 16) : headers.subspan(16, 4), kProtocolTcp,
                        static_cast<uint32_t>(packet.length - ip_length));
  uint8_t* const field = &packet.headers[ip_length + kTcpChecksumOffset];
  store_be16(field, 0);
  if (!offloads) {
    sum.add(headers.subspan(ip_length));
    for (const Bytes part : packet.parts.subspan(1)) sum.add(part);
    store_be16(field, sum.checksum());
    return {};
  }
  store_be16(field, sum.sum());
  Offload offload;
  offload.needs_checksum = true;
  offload.checksum_start = static_cast<uint16_t>(ip_length);
  offload.checksum_offset = kTcpChecksumOffset;
  if (packet.length > mtu) {
    offload.segment_size = static_cast<uint16_t>(mtu - ip_length - kTcpHeader);
  }
  return offload;
}

}  // namespace tunproxy::tun2socks
