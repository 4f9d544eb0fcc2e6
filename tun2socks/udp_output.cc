#include "tun2socks/udp_output.h"

#include <algorithm>
#include <array>
#include <random>

#include "tun2socks/checksum.h"
#include "tun2socks/ip_packet.h"
#include "tun2socks/ip_writer.h"

namespace tunproxy::tun2socks {
namespace {

constexpr size_t kFragmentExtension = 8;
constexpr uint8_t kProtocolFragment = 44;
constexpr size_t kLargest4 = 65535 - kV4HeaderLength - UdpHeader::kLength;
constexpr size_t kLargest6 = 65535 - UdpHeader::kLength;

size_t ip_header_length(const Endpoint& endpoint) {
  return endpoint.address.is_v6() ? kV6HeaderLength : kV4HeaderLength;
}

/// Everything but the checksum, which is left zero.
void write_udp_header(uint8_t* at, const Endpoint& from, const Endpoint& to, size_t payload) {
  store_be16(at, from.port);
  store_be16(at + 2, to.port);
  store_be16(at + 4, static_cast<uint16_t>(UdpHeader::kLength + payload));
  store_be16(at + 6, 0);
}

ChecksumBuilder pseudo_header(const Endpoint& from, const Endpoint& to, size_t payload) {
  ChecksumBuilder sum;
  sum.add_pseudo_header(from.address.bytes(), to.address.bytes(), kProtocolUdp,
                        static_cast<uint32_t>(UdpHeader::kLength + payload));
  return sum;
}

/// The checksum for `header`, whose own field is still zero.
void put_udp_checksum(MutableBytes header, const Endpoint& from, const Endpoint& to,
                      Bytes payload) {
  ChecksumBuilder sum = pseudo_header(from, to, payload.size());
  sum.add(header);
  sum.add(payload);
  const uint16_t checksum = sum.checksum();
  store_be16(&header[6], checksum != 0 ? checksum : 0xffff);  // RFC 768: 0 would mean none
}

/// As parse_ip() has it: what no host may use as its own.
bool may_send(const IpAddress& address) {
  if (address.is_v6()) {
    return !address.is_any() && !address.is_loopback() && !address.is_multicast();
  }
  const uint8_t first = address.bytes()[0];
  return first != 0 && first != 127 && first < 224;
}

}  // namespace

UdpOutput::UdpOutput(PacketDevice& device, PacketOutput& output, EngineStats& stats)
    : output_(output),
      stats_(stats),
      mtu_(device.mtu()),
      offloads_(device.offloads()),
      fragment_id_(std::random_device()()) {}

bool UdpOutput::send(const Endpoint& from, const Endpoint& to, Bytes payload) {
  if (const Drop drop = check(from, to, payload.size()); drop != Drop::none) {
    stats_.drop(drop);
    return false;
  }
  const bool fits = ip_header_length(to) + UdpHeader::kLength + payload.size() <= mtu_;
  return fits ? send_whole(from, to, payload) : send_fragments(from, to, payload);
}

Drop UdpOutput::check(const Endpoint& from, const Endpoint& to, size_t length) const {
  const IpAddress& sender = from.address;
  if (sender.is_v4() != to.address.is_v4()) return Drop::bad_address;
  if (!may_send(sender)) return Drop::bad_address;
  return length > (sender.is_v4() ? kLargest4 : kLargest6) ? Drop::too_large : Drop::none;
}

bool UdpOutput::send_whole(const Endpoint& from, const Endpoint& to, Bytes payload) {
  std::array<uint8_t, kV6HeaderLength + UdpHeader::kLength> headers;
  const size_t ip = write_ip_header(headers.data(), from.address.bytes(), to.address.bytes(),
                                    kProtocolUdp, UdpHeader::kLength + payload.size());
  const MutableBytes udp(headers.data() + ip, UdpHeader::kLength);
  write_udp_header(udp.data(), from, to, payload.size());
  Offload offload;
  if (offloads_) {
    offload.needs_checksum = true;
    offload.checksum_start = static_cast<uint16_t>(ip);
    offload.checksum_offset = 6;
    store_be16(&udp[6], pseudo_header(from, to, payload.size()).sum());
  } else {
    put_udp_checksum(udp, from, to, payload);
  }
  const std::array<Bytes, 2> parts = {Bytes(headers).first(ip + UdpHeader::kLength), payload};
  return output_.send(std::span(parts).first(payload.empty() ? 1 : 2), offload);
}

bool UdpOutput::send_fragments(const Endpoint& from, const Endpoint& to, Bytes payload) {
  std::array<uint8_t, UdpHeader::kLength> udp;
  write_udp_header(udp.data(), from, to, payload.size());
  put_udp_checksum(udp, from, to, payload);
  ++fragment_id_;
  const size_t overhead = ip_header_length(to) + (to.address.is_v6() ? kFragmentExtension : 0);
  const size_t room = (mtu_ - overhead) / 8 * 8;
  const size_t total = udp.size() + payload.size();
  for (size_t offset = 0; offset < total; offset += room) {
    const size_t length = std::min(room, total - offset);
    std::array<uint8_t, kV6HeaderLength + kFragmentExtension + UdpHeader::kLength> headers;
    size_t used =
        write_fragment_header(headers.data(), from, to, offset, length, offset + length < total);
    size_t of_payload = length;
    if (offset == 0) {
      std::copy(udp.begin(), udp.end(), &headers[used]);
      used += udp.size();
      of_payload -= udp.size();
    }
    const std::array<Bytes, 2> parts = {Bytes(headers).first(used), payload.first(of_payload)};
    if (!output_.send(parts, {})) return false;
    payload = payload.subspan(of_payload);
  }
  return true;
}

/// RFC 791 §3.1, RFC 8200 §4.5.
size_t UdpOutput::write_fragment_header(uint8_t* at, const Endpoint& from, const Endpoint& to,
                                        size_t offset, size_t length, bool more) const {
  const Bytes source = from.address.bytes();
  const Bytes destination = to.address.bytes();
  if (from.address.is_v4()) {
    write_ip_header(at, source, destination, kProtocolUdp, length);
    store_be16(at + 4, static_cast<uint16_t>(fragment_id_));
    store_be16(at + 6, static_cast<uint16_t>(offset / 8 | (more ? 0x2000U : 0U)));
    put_ip_checksum({at, kV4HeaderLength});
    return kV4HeaderLength;
  }
  write_ip_header(at, source, destination, kProtocolFragment, kFragmentExtension + length);
  uint8_t* const extension = at + kV6HeaderLength;
  extension[0] = kProtocolUdp;
  extension[1] = 0;
  store_be16(extension + 2, static_cast<uint16_t>(offset | (more ? 1U : 0U)));
  store_be32(extension + 4, fragment_id_);
  return kV6HeaderLength + kFragmentExtension;
}

ByteVector make_udp_packet(const Endpoint& from, const Endpoint& to, Bytes payload) {
  const size_t length = UdpHeader::kLength + payload.size();
  ByteVector packet = make_ip(from.address.bytes(), to.address.bytes(), kProtocolUdp, length);
  const MutableBytes udp = MutableBytes(packet).last(length).first(UdpHeader::kLength);
  write_udp_header(udp.data(), from, to, payload.size());
  std::copy(payload.begin(), payload.end(), packet.end() - static_cast<ptrdiff_t>(payload.size()));
  put_udp_checksum(udp, from, to, payload);
  return packet;
}

}  // namespace tunproxy::tun2socks
