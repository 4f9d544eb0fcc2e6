#include "tun2socks/ip_packet.h"

#include <gtest/gtest.h>

#include "tests/support/memory_device.h"
#include "tun2socks/icmp.h"

namespace tunproxy::tun2socks {
namespace {

using testing::make_tcp;

const Endpoint kClient4 = *Endpoint::parse("198.18.0.1:40000");
const Endpoint kServer4 = *Endpoint::parse("192.0.2.1:80");
const Endpoint kClient6 = *Endpoint::parse("[fd00::2]:40000");
const Endpoint kServer6 = *Endpoint::parse("[2001:db8::1]:80");

Drop parse(ByteVector packet) {
  IpPacket out;
  return parse_ip(packet, out);
}

ByteVector packet_to(std::string_view from, std::string_view to) {
  const IpAddress source = *IpAddress::parse(from);
  const IpAddress destination = *IpAddress::parse(to);
  return make_ip(source.bytes(), destination.bytes(), kProtocolUdp, 8);
}

/// An IPv6 packet whose payload is `chain`, which begins with a header of kind `first`.
ByteVector with_chain(uint8_t first, const ByteVector& chain) {
  ByteVector packet =
      make_ip(kClient6.address.bytes(), kServer6.address.bytes(), first, chain.size());
  std::copy(chain.begin(), chain.end(), packet.begin() + 40);
  return packet;
}

std::optional<TcpHeader> tcp_with(ByteVector options, uint8_t flags) {
  const ByteVector packet = make_tcp(kClient4, kServer4, {1, 1, flags, 100, options, {}});
  return parse_tcp(Bytes(packet).subspan(20));
}

TEST(IpPacket, ReadsBothVersions) {
  for (const auto& [from, to] : {std::pair(kClient4, kServer4), std::pair(kClient6, kServer6)}) {
    ByteVector bytes = make_tcp(from, to, {7, 8, kTcpAck, 9, {}, {'x'}});
    bytes.push_back(0xee);  // padding of a lower layer
    IpPacket packet;
    ASSERT_EQ(parse_ip(bytes, packet), Drop::none);
    EXPECT_EQ(packet.source_address(), from.address);
    EXPECT_EQ(packet.destination_address(), to.address);
    const auto tcp = parse_tcp(packet.payload());
    ASSERT_TRUE(tcp);
    EXPECT_EQ(tcp->payload_length, 1U);
    EXPECT_EQ(tcp->sequence, 7U);
  }
}

TEST(IpPacket, RefusesLengthsThatDoNotFit) {
  const ByteVector good = make_tcp(kClient4, kServer4, {1, 1, kTcpAck, 1, {}, {}});
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_EQ(parse({good.begin(), good.begin() + static_cast<ptrdiff_t>(length)}),
              Drop::malformed);
  }
  const ByteVector good6 = make_tcp(kClient6, kServer6, {1, 1, kTcpAck, 1, {}, {}});
  for (size_t length = 0; length < good6.size(); ++length) {
    EXPECT_EQ(parse({good6.begin(), good6.begin() + static_cast<ptrdiff_t>(length)}),
              Drop::malformed);
  }
  ByteVector short_header = good;
  short_header[0] = 0x44;
  EXPECT_EQ(parse(short_header), Drop::malformed);
  ByteVector version = good;
  version[0] = 0x55;
  EXPECT_EQ(parse(version), Drop::malformed);
}

TEST(IpPacket, VerifiesTheHeaderChecksum) {
  ByteVector packet = make_tcp(kClient4, kServer4, {1, 1, kTcpAck, 1, {}, {}});
  packet[8] ^= 1;
  EXPECT_EQ(parse(packet), Drop::bad_checksum);
}

TEST(IpPacket, RefusesAddressesOfNoHost) {
  EXPECT_EQ(parse(packet_to("198.18.0.1", "192.0.2.1")), Drop::none);
  EXPECT_EQ(parse(packet_to("198.18.0.1", "224.0.0.251")), Drop::multicast);
  EXPECT_EQ(parse(packet_to("198.18.0.1", "255.255.255.255")), Drop::multicast);
  EXPECT_EQ(parse(packet_to("0.0.0.0", "192.0.2.1")), Drop::bad_address);
  EXPECT_EQ(parse(packet_to("224.0.0.1", "192.0.2.1")), Drop::bad_address);
  EXPECT_EQ(parse(packet_to("198.18.0.1", "127.0.0.1")), Drop::bad_address);
  EXPECT_EQ(parse(packet_to("fd00::2", "ff02::fb")), Drop::multicast);
  EXPECT_EQ(parse(packet_to("::", "2001:db8::1")), Drop::bad_address);
  EXPECT_EQ(parse(packet_to("fd00::2", "::1")), Drop::bad_address);
  EXPECT_EQ(parse(packet_to("fd00::2", "::ffff:192.0.2.1")), Drop::bad_address);
}

TEST(IpPacket, WalksExtensionHeadersWithinBounds) {
  const ByteVector hop_by_hop = {43, 0, 1, 4, 0, 0, 0, 0};
  ByteVector chain = hop_by_hop;
  append(chain, ByteVector{60, 0, 0, 0, 0, 0, 0, 0});                           // routing
  append(chain, ByteVector{17, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});  // destination
  append(chain, ByteVector(8));
  ByteVector bytes = with_chain(0, chain);
  IpPacket packet;
  ASSERT_EQ(parse_ip(bytes, packet), Drop::none);
  EXPECT_EQ(packet.protocol, kProtocolUdp);
  EXPECT_EQ(packet.header_length, 40U + 32);

  EXPECT_EQ(parse(with_chain(0, {17, 5, 0, 0, 0, 0, 0, 0})),
            Drop::malformed);  // longer than the packet
  EXPECT_EQ(parse(with_chain(60, {17, 0, 0})), Drop::malformed);
  EXPECT_EQ(parse(with_chain(60, {0, 0, 0, 0, 0, 0, 0, 0})), Drop::malformed);  // hop-by-hop second
  ByteVector endless;
  for (int i = 0; i < 20; ++i) append(endless, ByteVector{60, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_EQ(parse(with_chain(60, endless)), Drop::malformed);
}

TEST(TcpHeader, ChecksOptionsToTheLastByte) {
  EXPECT_TRUE(tcp_with({2, 4, 5, 180, 1, 3, 3, 7}, kTcpSyn));
  EXPECT_TRUE(tcp_with({1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2}, kTcpAck));
  EXPECT_TRUE(tcp_with({0, 9, 9, 9}, kTcpAck)) << "nothing counts behind the end";
  EXPECT_FALSE(tcp_with({1, 1, 1, 2}, kTcpSyn)) << "a kind without a length";
  EXPECT_FALSE(tcp_with({8, 10, 0, 0}, kTcpSyn)) << "longer than the header";
  EXPECT_FALSE(tcp_with({8, 1, 0, 0}, kTcpSyn));
  EXPECT_FALSE(tcp_with({2, 4, 5, 180}, kTcpAck)) << "MSS outside a SYN";
  EXPECT_FALSE(tcp_with({2, 3, 5, 1}, kTcpSyn));
}

TEST(TcpHeader, RefusesFlagsThatNobodySends) {
  EXPECT_FALSE(tcp_with({}, 0));
  EXPECT_FALSE(tcp_with({}, kTcpPsh));
  EXPECT_FALSE(tcp_with({}, kTcpSyn | kTcpFin));
  EXPECT_FALSE(tcp_with({}, kTcpSyn | kTcpRst));
  EXPECT_TRUE(tcp_with({}, kTcpRst));
  EXPECT_TRUE(tcp_with({}, kTcpSyn | kTcpAck));
}

TEST(UdpHeader, LengthsHaveToFit) {
  const ByteVector packet = testing::make_udp(kClient4, kServer4, as_bytes("abcd"));
  ByteVector udp(packet.begin() + 20, packet.end());
  EXPECT_EQ(as_text(parse_udp(udp, false)->payload), "abcd");
  store_be16(&udp[4], 10);
  EXPECT_EQ(as_text(parse_udp(udp, false)->payload), "ab");
  EXPECT_EQ(as_text(parse_udp(udp, true)->payload), "abcd");
  store_be16(&udp[4], 13);
  EXPECT_FALSE(parse_udp(udp, false));
  store_be16(&udp[4], 7);
  EXPECT_FALSE(parse_udp(udp, false));
  EXPECT_FALSE(parse_udp(Bytes(udp).first(7), false));
}

}  // namespace
}  // namespace tunproxy::tun2socks
