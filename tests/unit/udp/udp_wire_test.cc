#include <gtest/gtest.h>

#include <algorithm>

#include "core/udp/relay_wire.h"
#include "core/udp/udpgw_wire.h"
#include "tests/unit/socks5/wire_support.h"

namespace tunproxy::udp {
namespace {

using testing::bytes_of;
using testing::encoded;
using testing::expect_error;
using testing::expect_incremental;

const ByteVector kData = {1, 2, 3};

bool same(Bytes a, Bytes b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

std::vector<Target> all_kinds_of_targets() {
  return {*Target::parse("192.0.2.1:80"), *Target::parse("[2001:db8::1]:65535"),
          Target::from_host("example.com", 443)};
}

TEST(UdpgwWire, FramesMakeTheRoundTrip) {
  for (const char* remote : {"192.0.2.1:53", "[2001:db8::1]:65535"}) {
    UdpgwFrame frame{UdpgwFrame::kRebind | UdpgwFrame::kDns, 0x1234, *Endpoint::parse(remote),
                     kData};
    const ByteVector wire = encoded(frame);
    expect_incremental(wire, decode_udpgw);
    Bytes input = wire;
    const auto decoded = decode_udpgw(input);
    ASSERT_TRUE(decoded && *decoded);
    EXPECT_EQ((*decoded)->flags & ~UdpgwFrame::kIpv6, frame.flags);
    EXPECT_EQ((*decoded)->connection, frame.connection);
    EXPECT_EQ((*decoded)->remote, frame.remote);
    EXPECT_TRUE(same((*decoded)->data, kData));
  }
}

TEST(UdpgwWire, BytesAreThoseOfTheGateway) {
  EXPECT_EQ(encoded(UdpgwFrame{UdpgwFrame::kKeepalive, 0, {}, {}}), bytes_of({3, 0, 1, 0, 0}));
  EXPECT_EQ(encoded(UdpgwFrame{0, 0x0102, *Endpoint::parse("1.2.3.4:258"), kData}),
            bytes_of({12, 0, 0, 2, 1, 1, 2, 3, 4, 1, 2, 1, 2, 3}));
  expect_incremental(bytes_of({3, 0, 1, 0, 0}), decode_udpgw);
}

TEST(UdpgwWire, WrongFramesAreErrors) {
  expect_error(bytes_of({2, 0}), ErrorCode::protocol, decode_udpgw);
  expect_error(bytes_of({8, 0, 0, 0, 0, 1, 2, 3, 4, 0}), ErrorCode::protocol, decode_udpgw);
  expect_error(bytes_of({9, 0, 8, 0, 0, 1, 2, 3, 4, 0, 0}), ErrorCode::protocol, decode_udpgw);
}

template <typename Body>
void expect_relay_round_trip(const Body& body, uint8_t type) {
  const ByteVector wire = encoded(RelayMessage{0x01020304, body});
  ASSERT_GT(wire.size(), 4u);
  EXPECT_EQ(wire[4], type);
  expect_incremental(wire, decode_relay);
  Bytes input = wire;
  const auto decoded = decode_relay(input);
  ASSERT_TRUE(decoded && *decoded);
  EXPECT_EQ((*decoded)->connection, 0x01020304u);
  ASSERT_TRUE(std::holds_alternative<Body>((*decoded)->body));
  EXPECT_EQ(encoded(**decoded), wire);
  if constexpr (std::equality_comparable<Body>) {
    EXPECT_TRUE(std::get<Body>((*decoded)->body) == body);
  }
}

TEST(RelayWire, MessagesMakeTheRoundTrip) {
  for (const Target& target : all_kinds_of_targets()) {
    expect_relay_round_trip(OpenConnection{target}, 14);
    expect_relay_round_trip(UdpAssociate{target}, 201);
    expect_relay_round_trip(UdpAssociateOpened{target}, 202);
    expect_relay_round_trip(UdpPacket{target, kData}, 203);
  }
  expect_relay_round_trip(CloseConnection{5, "refused"}, 15);
  expect_relay_round_trip(CloseConnection{0, ""}, 15);
  expect_relay_round_trip(SendEof{}, 104);
  expect_relay_round_trip(UdpAssociate{}, 201);
  expect_relay_round_trip(UdpAssociateClosed{1, "why"}, 204);
  expect_relay_round_trip(Hello{1, {1, 2, 3}, 7, 100}, 220);
  expect_relay_round_trip(Ping{42}, 221);
  expect_relay_round_trip(Pong{42}, 222);
  expect_relay_round_trip(Resolve{kData}, 223);
  expect_relay_round_trip(Resolved{kData}, 224);
  expect_relay_round_trip(Data{kData}, 225);
  expect_relay_round_trip(Credit{65536}, 226);
  const rules::FarRule v4{true, *Cidr::parse("10.0.0.0/8"), {}};
  const rules::FarRule v6{false, *Cidr::parse("2001:db8::/32"), {53, 1024}};
  expect_relay_round_trip(Rules{true, {v4, v6}}, 227);
  expect_relay_round_trip(Rules{}, 227);
  const uint64_t large = uint64_t{1} << 40;
  expect_relay_round_trip(Stats{1, 2, 3, 4, large, large + 1}, 228);
}

TEST(RelayWire, BodiesThatAreCutOffOrTooLongAreErrors) {
  const ByteVector whole =
      encoded(RelayMessage{1, UdpAssociateOpened{*Target::parse("1.2.3.4:5")}});
  for (const int difference : {-1, 1}) {
    ByteVector wire = whole;
    wire.resize(whole.size() + static_cast<size_t>(difference));
    store_be32(wire.data(), static_cast<uint32_t>(wire.size() - 4));
    expect_error(wire, ErrorCode::protocol, decode_relay);
  }
}

TEST(RelayWire, RulesThatCannotBeAreErrors) {
  const ByteVector whole = encoded(RelayMessage{0, Rules{false, {{true, {IpAddress(), 32}, {}}}}});
  constexpr size_t kPrefixAt = 13;
  constexpr size_t kLastPortAt = 16;
  ByteVector wire = whole;
  wire[kPrefixAt] = 33;
  expect_error(wire, ErrorCode::protocol, decode_relay);
  wire = encoded(RelayMessage{0, Rules{false, {{true, {IpAddress(), 32}, {256, 300}}}}});
  wire[kLastPortAt] = 0;
  expect_error(wire, ErrorCode::protocol, decode_relay);
  wire = whole;
  wire.pop_back();
  store_be32(wire.data(), static_cast<uint32_t>(wire.size() - 4));
  expect_error(wire, ErrorCode::protocol, decode_relay);
  const std::vector<rules::FarRule> most(Rules::kMaxEach, {true, *Cidr::parse("::/0"), {}});
  EXPECT_TRUE(encode(RelayMessage{0, Rules{true, most}}, wire));
}

TEST(RelayWire, ImpossibleLengthsAreErrorsAtOnce) {
  expect_error(bytes_of({0, 0, 0, 6}), ErrorCode::protocol, decode_relay);
  expect_error(bytes_of({0xff, 0xff, 0xff, 0xff}), ErrorCode::protocol, decode_relay);
  ByteVector wire;
  EXPECT_FALSE(encode(RelayMessage{1, Data{ByteVector(kRelayMaxMessage)}}, wire));
  EXPECT_TRUE(wire.empty());
}

TEST(RelayWire, UnknownTypesAreSkippedByTheirLength) {
  const ByteVector wire = bytes_of({0, 0, 0, 9, 77, 0, 0, 0, 0, 0, 1, 8, 8});
  expect_incremental(wire, decode_relay);
  Bytes input = wire;
  EXPECT_EQ(std::get<Unknown>((*decode_relay(input))->body).type, 77);
}

TEST(RelayWire, TheMagicIsFoundBehindABanner) {
  const Hello::Nonce nonce{1, 2, 0xff};
  ByteVector input;
  append(input, as_bytes("Welcome!\ntunproxy-relay of another time\n"));
  const size_t banner = input.size();
  append(input, relay_magic(nonce));
  const size_t end = input.size();
  append(input, kData);
  for (size_t length = 0; length < end; ++length) {
    const auto found = find_relay_magic(Bytes(input).first(length), nonce);
    ASSERT_TRUE(found);
    EXPECT_FALSE(*found) << length;
  }
  EXPECT_EQ(**find_relay_magic(input, nonce), end);
  EXPECT_GT(end, banner);
  EXPECT_FALSE(*find_relay_magic(input, Hello::Nonce{9}));
  EXPECT_FALSE(find_relay_magic(ByteVector(kRelayMaxBanner + 100), nonce));
}

}  // namespace
}  // namespace tunproxy::udp
