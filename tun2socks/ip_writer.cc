#include "tun2socks/ip_writer.h"

#include <algorithm>

#include "tun2socks/checksum.h"

namespace tunproxy::tun2socks {
namespace {

constexpr uint8_t kTimeToLive = 64;

size_t write_v6_header(uint8_t* to, Bytes source, Bytes destination, uint8_t protocol,
                       size_t payload_length) {
  std::fill_n(to, kV6HeaderLength, uint8_t{0});
  to[0] = 0x60;
  store_be16(to + 4, static_cast<uint16_t>(payload_length));
  to[6] = protocol;
  to[7] = kTimeToLive;
  std::copy(source.begin(), source.end(), to + 8);
  std::copy(destination.begin(), destination.end(), to + 24);
  return kV6HeaderLength;
}

}  // namespace

size_t write_ip_header(uint8_t* to, Bytes source, Bytes destination, uint8_t protocol,
                       size_t payload_length) {
  if (source.size() == 16) {
    return write_v6_header(to, source, destination, protocol, payload_length);
  }
  std::fill_n(to, kV4HeaderLength, uint8_t{0});
  to[0] = 0x45;
  store_be16(to + 2, static_cast<uint16_t>(kV4HeaderLength + payload_length));
  to[8] = kTimeToLive;
  to[9] = protocol;
  std::copy(source.begin(), source.end(), to + 12);
  std::copy(destination.begin(), destination.end(), to + 16);
  put_ip_checksum({to, kV4HeaderLength});
  return kV4HeaderLength;
}

ByteVector make_ip(Bytes source, Bytes destination, uint8_t protocol, size_t payload_length) {
  const size_t header = source.size() == 16 ? kV6HeaderLength : kV4HeaderLength;
  ByteVector packet(header + payload_length);
  write_ip_header(packet.data(), source, destination, protocol, payload_length);
  return packet;
}

void put_ip_checksum(MutableBytes header) {
  store_be16(&header[10], 0);
  store_be16(&header[10], checksum(header));
}

}  // namespace tunproxy::tun2socks
