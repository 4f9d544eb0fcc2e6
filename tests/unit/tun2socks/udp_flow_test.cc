// UDP through the whole engine: packets in, datagrams out, and back.
#include <algorithm>
#include <array>

#include "tests/unit/tun2socks/fixture.h"
#include "tests/unit/tun2socks/scripted_datagrams.h"
#include "tun2socks/ip_writer.h"

namespace tunproxy::testing {
namespace {

using tun2socks::Drop;
using tun2socks::Offload;

ByteVector pattern(size_t n) {
  ByteVector bytes(n);
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<uint8_t>(i * 11 + i / 251);
  return bytes;
}

class UdpFlow : public EngineTest {
 protected:
  explicit UdpFlow(bool offloads = false, tun2socks::EngineOptions options = {})
      : EngineTest(options, offloads) {}
  net::DatagramProxy* datagrams() override { return &proxy_udp_; }

  Client app(bool v6 = false) const {
    Client made = client(50000, v6);
    made.server.port = 443;
    return made;
  }
  void send(const Client& from, Bytes data) { deliver(make_udp(from.self, from.server, data)); }
  const ByteVector& last_sent() const { return proxy_udp_.all.back()->sent.back().second; }
  /// The packet that the device's host makes of all that was sent: fragments are put together.
  SeenPacket received() {
    settle();
    const MemoryDevice::Sent first = device_.sent.empty() ? MemoryDevice::Sent{} : device_.sent[0];
    MemoryDevice::Sent whole{join(), first.offload};
    device_.sent.clear();
    const auto seen = SeenPacket::make(whole);
    EXPECT_TRUE(seen) << "malformed output";
    return seen.value_or(SeenPacket{});
  }
  void expect_datagram(const SeenPacket& packet, const Endpoint& from, const Endpoint& to,
                       Bytes data) {
    ASSERT_GE(packet.payload.size(), 8U);
    EXPECT_EQ(packet.source, from.address);
    EXPECT_EQ(packet.destination, to.address);
    EXPECT_EQ(load_be16(&packet.payload[0]), from.port);
    EXPECT_EQ(load_be16(&packet.payload[2]), to.port);
    EXPECT_EQ(load_be16(&packet.payload[4]), 8 + data.size());
    EXPECT_NE(load_be16(&packet.payload[6]), 0);
    EXPECT_TRUE(std::ranges::equal(Bytes(packet.payload).subspan(8), data));
  }

  ScriptedDatagrams proxy_udp_;

 private:
  /// By the offsets and lengths that each fragment states, whatever their order.
  ByteVector join() {
    ByteVector whole;
    size_t end = 0;
    if (device_.sent.size() <= 1) return device_.sent.empty() ? whole : device_.sent[0].bytes;
    const bool v6 = device_.sent[0].bytes[0] >> 4 == 6;
    const size_t header = v6 ? 40 : 20;
    const size_t skip = v6 ? 48 : 20;
    ByteVector id;
    for (const auto& sent : device_.sent) {
      const ByteVector& bytes = sent.bytes;
      EXPECT_LE(bytes.size(), device_.mtu());
      const ByteVector own(&bytes[v6 ? 44 : 4], &bytes[v6 ? 48 : 6]);
      EXPECT_TRUE(id.empty() || id == own);
      id = own;
      const uint16_t field = load_be16(&bytes[v6 ? 42 : 6]);
      const size_t offset = v6 ? field & 0xfff8U : size_t{field & 0x1fffU} * 8;
      const size_t length = v6 ? load_be16(&bytes[4]) - 8U : load_be16(&bytes[2]) - 20U;
      EXPECT_EQ(length, bytes.size() - skip);
      EXPECT_EQ((field & (v6 ? 1 : 0x2000)) != 0, &sent != &device_.sent.back());
      if (whole.empty())
        whole.assign(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(header));
      whole.resize(std::max(whole.size(), header + offset + length));
      std::copy(bytes.begin() + static_cast<ptrdiff_t>(skip), bytes.end(),
                whole.begin() + static_cast<ptrdiff_t>(header + offset));
      end += length;
    }
    EXPECT_EQ(header + end, whole.size()) << "fragments leave no hole and do not overlap";
    if (v6) {
      whole[6] = 17;
      store_be16(&whole[4], static_cast<uint16_t>(end));
    } else {
      store_be16(&whole[2], static_cast<uint16_t>(whole.size()));
      store_be16(&whole[6], 0);
      tun2socks::put_ip_checksum(MutableBytes(whole).first(20));
    }
    return whole;
  }
};

TEST_F(UdpFlow, DatagramsPassBothWays) {
  for (const bool v6 : {false, true}) {
    const Client from = app(v6);
    send(from, as_bytes("hello"));
    proxy_udp_.open_all();
    ASSERT_EQ(proxy_udp_.all.back()->sent.size(), 1U);
    EXPECT_EQ(proxy_udp_.all.back()->sent[0].first, Target(from.server));
    EXPECT_EQ(as_text(last_sent()), "hello");
    EXPECT_TRUE(silent());
    const Endpoint other = *Endpoint::parse(v6 ? "[2001:db8::99]:5" : "203.0.113.9:5");
    for (const Endpoint& sender : {from.server, other}) {
      for (const size_t size : {0, 1, 2, 1000, 1452}) {
        const ByteVector data = pattern(size);
        proxy_udp_.all.back()->on_datagram(sender, data);
        expect_datagram(received(), sender, from.self, data);
      }
    }
  }
  EXPECT_EQ(engine_->stats().udp_datagrams_down, 20U);
  EXPECT_EQ(engine_->stats().udp_associations, 2U);
}

TEST_F(UdpFlow, EmptyAndLargestDatagramsGoUp) {
  for (const bool v6 : {false, true}) {
    const Client from = app(v6);
    for (const size_t size : {size_t{0}, size_t{65507}}) {
      const ByteVector data = pattern(size);
      const ByteVector packet = make_udp(from.self, from.server, data);
      for (auto& piece : fragment(packet, v6 ? 1448 : 1480, 7)) deliver(piece);
      if (size == 0) proxy_udp_.open_all();
      EXPECT_EQ(last_sent(), data);
    }
  }
}

TEST_F(UdpFlow, LargestDatagramMayBeTheFirst) {
  const Client from = app();
  const ByteVector data = pattern(65507);
  auto pieces = fragment(make_udp(from.self, from.server, data), 1480, 7);
  std::reverse(pieces.begin(), pieces.end());
  for (auto& piece : pieces) deliver(piece);
  proxy_udp_.open_all();
  EXPECT_EQ(last_sent(), data);
}

TEST_F(UdpFlow, LargerOnesOfIpv6AreDropped) {
  const Client from = app(true);
  for (auto& piece : fragment(make_udp(from.self, from.server, pattern(65527)), 1448, 7)) {
    deliver(piece);
  }
  EXPECT_EQ(engine_->stats().dropped(Drop::too_large), 1U);
}

TEST_F(UdpFlow, LongDatagramsComeInFragments) {
  for (const bool v6 : {false, true}) {
    const Client from = app(v6);
    send(from, as_bytes("open"));
    proxy_udp_.open_all();
    for (const size_t size : {size_t{v6 ? 1453U : 1473U}, size_t{1480}, size_t{2960}, size_t{9001},
                              size_t{v6 ? 65527U : 65507U}}) {
      const ByteVector data = pattern(size);
      proxy_udp_.all.back()->on_datagram(from.server, data);
      EXPECT_GT(device_.sent.size(), 1U);
      expect_datagram(received(), from.server, from.self, data);
    }
    proxy_udp_.all.back()->on_datagram(from.server, pattern(v6 ? 65528 : 65508));
    EXPECT_TRUE(silent());
  }
  EXPECT_EQ(engine_->stats().dropped(Drop::too_large), 2U);
}

TEST_F(UdpFlow, FragmentsOfTwoDatagramsDoNotMix) {
  for (const bool v6 : {false, true}) {
    const Client from = app(v6);
    send(from, as_bytes("open"));
    proxy_udp_.open_all();
    std::array<ByteVector, 2> ids;
    for (ByteVector& id : ids) {
      proxy_udp_.all.back()->on_datagram(from.server, pattern(2000));
      const ByteVector& first = device_.sent.front().bytes;
      id.assign(&first[v6 ? 44 : 4], &first[v6 ? 48 : 6]);
      device_.sent.clear();
    }
    EXPECT_NE(ids[0], ids[1]);
  }
}

TEST_F(UdpFlow, ChecksumOfZeroIsWrittenAsOnes) {
  const Client from = app();
  send(from, as_bytes("open"));
  proxy_udp_.open_all();
  const auto checksum_with = [&](const ByteVector& data) {
    proxy_udp_.all[0]->on_datagram(from.server, data);
    const SeenPacket packet = received();
    return ByteVector(packet.payload.begin() + 6, packet.payload.begin() + 8);
  };
  const ByteVector balance = checksum_with({0, 0});
  EXPECT_EQ(checksum_with(balance), (ByteVector{0xff, 0xff}));
}

TEST_F(UdpFlow, ImpossibleSendersAreDropped) {
  send(app(), as_bytes("open"));
  proxy_udp_.open_all();
  const std::array<const char*, 5> senders = {"[2001:db8::1]:9", "127.0.0.1:9", "0.0.0.0:9",
                                              "224.0.0.1:9", "255.255.255.255:9"};
  for (const char* const sender : senders) proxy_udp_.reply(0, *Endpoint::parse(sender), "x");
  EXPECT_TRUE(silent());
  EXPECT_EQ(engine_->stats().dropped(Drop::bad_address), senders.size());
  EXPECT_EQ(engine_->stats().udp_datagrams_down, 0U);
}

TEST_F(UdpFlow, FullDeviceIsCounted) {
  send(app(), as_bytes("open"));
  proxy_udp_.open_all();
  device_.full = true;
  proxy_udp_.reply(0, app().server, "lost");
  EXPECT_EQ(engine_->stats().dropped(Drop::device_full), 1U);
  EXPECT_EQ(engine_->stats().udp_datagrams_down, 0U);
}

TEST_F(UdpFlow, ExhaustedHopLimitMulticastAndPortZeroAreDropped) {
  Client from = app();
  for (const bool v6 : {false, true}) {
    ByteVector packet = make_udp(app(v6).self, app(v6).server, as_bytes("x"));
    packet[v6 ? 7 : 8] = 1;
    if (!v6) tun2socks::put_ip_checksum(MutableBytes(packet).first(20));
    deliver(packet);
  }
  from.server.port = 0;
  send(from, as_bytes("x"));
  for (const char* const to : {"224.0.0.251", "255.255.255.255"}) {
    from.server = {*IpAddress::parse(to), 5353};
    send(from, as_bytes("x"));
  }
  EXPECT_TRUE(proxy_udp_.all.empty());
  EXPECT_EQ(engine_->stats().dropped(Drop::hop_limit), 2U);
  EXPECT_EQ(engine_->stats().dropped(Drop::malformed), 1U);
  EXPECT_EQ(engine_->stats().dropped(Drop::multicast), 2U);
}

TEST_F(UdpFlow, RefusedAssociationIsPortUnreachable) {
  const Client from = app();
  send(from, as_bytes("waits"));
  EXPECT_TRUE(silent());
  proxy_udp_.fail(0);
  const SeenPacket error4 = next_packet();
  EXPECT_EQ(error4.source, from.server.address);
  EXPECT_EQ(error4.destination, from.self.address);
  EXPECT_EQ(error4.payload[0], 3);
  EXPECT_EQ(error4.payload[1], 3);
  EXPECT_EQ(ByteVector(error4.payload.begin() + 8, error4.payload.end()),
            make_udp(from.self, from.server, as_bytes("waits")));
  const Client six = app(true);
  send(six, as_bytes("at once"));
  const SeenPacket error = next_packet();
  EXPECT_EQ(error.payload[0], 1);
  EXPECT_EQ(error.payload[1], 4);
  EXPECT_EQ(engine_->stats().udp_refused, 2U);
}

TEST_F(UdpFlow, WhatRulesForbidIsAdministrativelyProhibited) {
  for (const bool v6 : {false, true}) {
    const Client from = app(v6);
    send(from, pattern(5));
    proxy_udp_.all.back()->forbidden = Target(from.server);
    proxy_udp_.open_all();
    send(from, pattern(6));
    settle();
    ASSERT_EQ(device_.sent.size(), 2U);
    for (const auto& sent : device_.sent) {
      const auto packet = SeenPacket::make(sent);
      ASSERT_TRUE(packet);
      EXPECT_EQ(packet->protocol, v6 ? 58 : 1);
      EXPECT_EQ(packet->payload[0], v6 ? 1 : 3);
      EXPECT_EQ(packet->payload[1], v6 ? 1 : 13);
    }
    device_.sent.clear();
    EXPECT_TRUE(proxy_udp_.all.back()->sent.empty());
  }
}

TEST_F(UdpFlow, LongRefusedDatagramIsQuotedInPart) {
  const Client from = app();
  for (auto& piece : fragment(make_udp(from.self, from.server, pattern(65507)), 1480, 7)) {
    deliver(piece);
  }
  proxy_udp_.fail(0);
  const SeenPacket error = next_packet();
  EXPECT_EQ(error.payload.size(), 576U - 20);
  EXPECT_EQ(load_be16(&error.payload[8 + 20 + 4]), 65515);
}

TEST_F(UdpFlow, TimerRunsWhileAssociationsExist) {
  EXPECT_FALSE(engine_->stats().udp_timer_running);
  send(app(), as_bytes("x"));
  EXPECT_TRUE(engine_->stats().udp_timer_running);
  proxy_udp_.open_all();
  settle();
  EXPECT_TRUE(engine_->stats().udp_timer_running);
  proxy_udp_.lose(0);
  settle();
  EXPECT_FALSE(engine_->stats().udp_timer_running);
  EXPECT_TRUE(proxy_udp_.all[0]->destroyed);
}

TEST_F(UdpFlow, EngineEndsWithAssociationsUnderWay) {
  send(app(), as_bytes("x"));
  proxy_udp_.open_all();
  send(app(true), as_bytes("x"));
  engine_.reset();
  EXPECT_TRUE(proxy_udp_.all[0]->destroyed);
  EXPECT_TRUE(proxy_udp_.all[1]->cancelled);
}

TEST_F(UdpFlow, DnsUsesNoAssociation) {
  Client from = app();
  from.server.port = 53;
  send(from, as_bytes("0123456789abcdefgh"));
  EXPECT_TRUE(proxy_udp_.all.empty());
}

class ShortUdp : public UdpFlow {
 protected:
  ShortUdp() : UdpFlow(false, {.udp_idle = 20ms}) {}
};

TEST_F(ShortUdp, TimerReaps) {
  send(app(), as_bytes("x"));
  proxy_udp_.open_all();
  // Open by now, unless the machine was so slow that it is reaped already.
  while (engine_->stats().udp_timer_running) loop_.run_once();
  EXPECT_EQ(engine_->stats().udp_reaped, 1U);
  EXPECT_TRUE(proxy_udp_.all[0]->destroyed || proxy_udp_.all[0]->cancelled);
  EXPECT_FALSE(engine_->stats().udp_timer_running);
}

class UdpOffload : public UdpFlow {
 protected:
  UdpOffload() : UdpFlow(true) {}
};

TEST_F(UdpOffload, ChecksumIsLeftToTheDevice) {
  for (const bool v6 : {false, true}) {
    const Client from = app(v6);
    send(from, as_bytes("open"));
    proxy_udp_.open_all();
    for (const size_t size : {size_t{0}, size_t{1000}, size_t{5001}}) {
      const ByteVector data = pattern(size);
      proxy_udp_.all.back()->on_datagram(from.server, data);
      EXPECT_EQ(device_.sent.front().offload.needs_checksum, size < 1500);
      expect_datagram(received(), from.server, from.self, data);
    }
  }
}

TEST_F(UdpOffload, WrongChecksumsAreDroppedOfReassembledOnesToo) {
  const Client from = app();
  ByteVector packet = make_udp(from.self, from.server, pattern(3000));
  packet.back() ^= 1;
  for (auto& piece : fragment(packet, 1480, 7)) deliver(piece);
  deliver(packet);
  EXPECT_TRUE(proxy_udp_.all.empty());
  EXPECT_EQ(engine_->stats().dropped(Drop::bad_checksum), 2U);
}

TEST_F(UdpOffload, SegmentedDatagramsAreSeveral) {
  const Client from = app();
  Offload offload;
  offload.needs_checksum = true;
  offload.segment_size = 1200;
  const ByteVector data = pattern(3000);
  device_.deliver({make_udp(from.self, from.server, data)}, offload);
  proxy_udp_.open_all();
  const auto& sent = proxy_udp_.all[0]->sent;
  ASSERT_EQ(sent.size(), 3U);
  EXPECT_EQ(sent[0].second.size(), 1200U);
  EXPECT_EQ(sent[2].second.size(), 600U);
  ByteVector joined;
  for (const auto& datagram : sent) append(joined, datagram.second);
  EXPECT_EQ(joined, data);
}

}  // namespace
}  // namespace tunproxy::testing
