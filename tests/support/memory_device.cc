#include "tests/support/memory_device.h"

#include <algorithm>

#include "tun2socks/checksum.h"
#include "tun2socks/icmp.h"
#include "tun2socks/ip_packet.h"

namespace tunproxy::testing {
namespace {

using tun2socks::ChecksumBuilder;
using tun2socks::IpPacket;
using tun2socks::Offload;
using tun2socks::PacketBuffer;
using tun2socks::PacketSink;

constexpr size_t kTcpHeader = 20;

void put_checksum(const IpAddress& from, const IpAddress& to, uint8_t protocol,
                  MutableBytes transport, size_t field) {
  ChecksumBuilder sum;
  sum.add_pseudo_header(from.bytes(), to.bytes(), protocol,
                        static_cast<uint32_t>(transport.size()));
  sum.add(transport);
  store_be16(&transport[field], sum.checksum());
}

/// What the kernel does with what it is left to do.
bool apply_offload(ByteVector& packet, const Offload& offload) {
  if (!offload.needs_checksum) return true;
  const size_t field = size_t{offload.checksum_start} + offload.checksum_offset;
  if (field + 2 > packet.size()) return false;
  store_be16(&packet[field], tun2socks::checksum(Bytes(packet).subspan(offload.checksum_start)));
  return true;
}

bool read_tcp(SeenPacket& seen) {
  const auto header = tun2socks::parse_tcp(seen.payload);
  if (!header) return false;
  seen.source_port = header->source_port;
  seen.destination_port = header->destination_port;
  seen.sequence = header->sequence;
  seen.acknowledgement = header->acknowledgement;
  seen.flags = header->flags;
  seen.window = load_be16(&seen.payload[14]);
  const auto begin = seen.payload.begin();
  seen.options.assign(begin + kTcpHeader, begin + header->length);
  seen.data.assign(begin + header->length, seen.payload.end());
  return true;
}

}  // namespace

bool MemoryDevice::send(std::span<const Bytes> parts, const Offload& offload) {
  if (full) return false;
  Sent packet{{}, offload};
  for (const Bytes part : parts) append(packet.bytes, part);
  sent.push_back(std::move(packet));
  return true;
}

void MemoryDevice::deliver(std::vector<ByteVector> packets, Offload offload, bool keepable) {
  if (sink_ == nullptr) return;
  for (const ByteVector& packet : packets) {
    if (keepable) {
      PacketBuffer block = pool_.take();
      std::copy(packet.begin(), packet.end(), block.get());
      sink_->on_packet({block.get(), packet.size()}, offload, &block);
      continue;
    }
    ByteVector exact = packet;
    exact.resize(packet.size() + PacketSink::kPacketSlack);
    exact.shrink_to_fit();
    sink_->on_packet({exact.data(), packet.size()}, offload, nullptr);
  }
  sink_->on_batch_end();
}

std::optional<SeenPacket> SeenPacket::make(const MemoryDevice::Sent& sent) {
  ByteVector bytes = sent.bytes;
  if (!apply_offload(bytes, sent.offload)) return std::nullopt;
  IpPacket packet;
  if (tun2socks::parse_ip(bytes, packet) != tun2socks::Drop::none) return std::nullopt;
  if (packet.whole.size() != bytes.size() || packet.fragment) return std::nullopt;
  const bool icmp_v4 = packet.protocol == tun2socks::kProtocolIcmp;
  const bool ok = icmp_v4 ? tun2socks::checksum(packet.payload()) == 0
                          : tun2socks::transport_checksum_ok(packet);
  if (!ok) return std::nullopt;
  SeenPacket seen;
  seen.source = packet.source_address();
  seen.destination = packet.destination_address();
  seen.protocol = packet.protocol;
  seen.payload.assign(packet.payload().begin(), packet.payload().end());
  if (seen.protocol == tun2socks::kProtocolTcp && !read_tcp(seen)) return std::nullopt;
  return seen;
}

ByteVector make_tcp(const Endpoint& from, const Endpoint& to, const Segment& segment) {
  ByteVector options = segment.options;
  options.resize((options.size() + 3) / 4 * 4, 1);
  const size_t header = kTcpHeader + options.size();
  const size_t length = header + segment.data.size();
  ByteVector packet =
      tun2socks::make_ip(from.address.bytes(), to.address.bytes(), tun2socks::kProtocolTcp, length);
  const MutableBytes tcp = MutableBytes(packet).last(length);
  store_be16(&tcp[0], from.port);
  store_be16(&tcp[2], to.port);
  store_be32(&tcp[4], segment.sequence);
  store_be32(&tcp[8], segment.acknowledgement);
  tcp[12] = static_cast<uint8_t>(header / 4 << 4);
  tcp[13] = segment.flags;
  store_be16(&tcp[14], segment.window);
  std::copy(options.begin(), options.end(), tcp.begin() + kTcpHeader);
  std::copy(segment.data.begin(), segment.data.end(), tcp.begin() + static_cast<ptrdiff_t>(header));
  put_checksum(from.address, to.address, tun2socks::kProtocolTcp, tcp, 16);
  return packet;
}

ByteVector make_udp(const Endpoint& from, const Endpoint& to, Bytes data) {
  const size_t length = 8 + data.size();
  ByteVector packet =
      tun2socks::make_ip(from.address.bytes(), to.address.bytes(), tun2socks::kProtocolUdp, length);
  const MutableBytes udp = MutableBytes(packet).last(length);
  store_be16(&udp[0], from.port);
  store_be16(&udp[2], to.port);
  store_be16(&udp[4], static_cast<uint16_t>(length));
  std::copy(data.begin(), data.end(), udp.begin() + 8);
  put_checksum(from.address, to.address, tun2socks::kProtocolUdp, udp, 6);
  return packet;
}

ByteVector make_echo(const IpAddress& from, const IpAddress& to, Bytes data) {
  const bool v6 = from.is_v6();
  const uint8_t protocol = v6 ? tun2socks::kProtocolIcmpV6 : tun2socks::kProtocolIcmp;
  ByteVector packet = tun2socks::make_ip(from.bytes(), to.bytes(), protocol, 8 + data.size());
  const MutableBytes icmp = MutableBytes(packet).last(8 + data.size());
  icmp[0] = v6 ? 128 : 8;
  std::copy(data.begin(), data.end(), icmp.begin() + 8);
  if (v6) {
    put_checksum(from, to, protocol, icmp, 2);
  } else {
    store_be16(&icmp[2], tun2socks::checksum(icmp));
  }
  return packet;
}

std::vector<ByteVector> fragment(Bytes packet, size_t size, uint32_t id) {
  const bool v6 = packet[0] >> 4 == 6;
  const size_t header = v6 ? 40 : 20;
  const Bytes payload = packet.subspan(header);
  std::vector<ByteVector> fragments;
  for (size_t at = 0; at < payload.size(); at += size) {
    const Bytes piece = payload.subspan(at, std::min(size, payload.size() - at));
    const bool more = at + piece.size() < payload.size();
    ByteVector one(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(header));
    if (v6) {
      const uint8_t next = std::exchange(one[6], uint8_t{44});
      uint8_t extension[8] = {next};
      store_be16(extension + 2, static_cast<uint16_t>(at | (more ? 1U : 0U)));
      store_be32(extension + 4, id);
      append(one, extension);
      store_be16(&one[4], static_cast<uint16_t>(8 + piece.size()));
    } else {
      store_be16(&one[2], static_cast<uint16_t>(header + piece.size()));
      store_be16(&one[4], static_cast<uint16_t>(id));
      store_be16(&one[6], static_cast<uint16_t>(at / 8 | (more ? 0x2000U : 0U)));
      store_be16(&one[10], 0);
      store_be16(&one[10], tun2socks::checksum(Bytes(one).first(header)));
    }
    append(one, piece);
    fragments.push_back(std::move(one));
  }
  return fragments;
}

}  // namespace tunproxy::testing
