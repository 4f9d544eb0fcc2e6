#include "tests/unit/tun2socks/fixture.h"

namespace tunproxy::testing {
namespace {

class Udp : public EngineTest {
 protected:
  explicit Udp(tun2socks::EngineOptions options = {}) : EngineTest(options) {}

  static ByteVector question(uint16_t id = 0x1234) {
    ByteVector bytes;
    for (const uint16_t word :
         {id, uint16_t{0x0100}, uint16_t{1}, uint16_t{0}, uint16_t{0}, uint16_t{0}}) {
      append_be16(bytes, word);
    }
    append(bytes, ByteVector{1, 'a', 0, 0, 1, 0, 1});
    return bytes;
  }
  Client dns_client(bool v6 = false) const {
    Client made = client(50000, v6);
    made.server.port = 53;
    return made;
  }
  void answer(const ByteVector& message) {
    const auto request = names_.requests.back();
    ASSERT_FALSE(request->cancelled);
    request->done(message);
    settle();
  }
};

TEST_F(Udp, QueryIsAskedAndAnswered) {
  for (const bool v6 : {false, true}) {
    const Client app = dns_client(v6);
    deliver(make_udp(app.self, app.server, question()));
    ASSERT_FALSE(names_.requests.empty());
    EXPECT_EQ(names_.requests.back()->server, app.server);
    EXPECT_EQ(names_.requests.back()->query, question());
    ByteVector message = question();
    message[2] |= 0x80;
    answer(message);
    const SeenPacket packet = next_packet();
    EXPECT_EQ(packet.source, app.server.address);
    EXPECT_EQ(packet.destination, app.self.address);
    EXPECT_EQ(load_be16(&packet.payload[0]), 53);
    EXPECT_EQ(load_be16(&packet.payload[2]), 50000);
    EXPECT_EQ(ByteVector(packet.payload.begin() + 8, packet.payload.end()), message);
  }
  EXPECT_EQ(engine_->stats().dns_answers, 2U);
}

TEST_F(Udp, LongAnswerIsTruncated) {
  const Client app = dns_client();
  deliver(make_udp(app.self, app.server, question()));
  ByteVector message = question();
  message[2] |= 0x80;
  store_be16(&message[6], 1);
  append(message, ByteVector{0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 2, 88});
  message.resize(message.size() + 600);
  answer(message);
  const SeenPacket packet = next_packet();
  EXPECT_LE(packet.payload.size(), 520U);
  EXPECT_NE(packet.payload[8 + 2] & 0x02, 0);
  EXPECT_EQ(load_be16(&packet.payload[8]), 0x1234);
}

TEST_F(Udp, FailedQueryIsSilentAndCounted) {
  const Client app = dns_client();
  deliver(make_udp(app.self, app.server, question()));
  names_.requests.back()->done(Error{ErrorCode::timed_out, "nobody"});
  EXPECT_TRUE(silent());
  EXPECT_EQ(engine_->stats().dropped(tun2socks::Drop::unanswered), 1U);
  deliver(make_udp(app.self, app.server, question()));
  EXPECT_EQ(names_.requests.size(), 2U);
}

TEST_F(Udp, GarbageToPort53IsDropped) {
  const Client app = dns_client();
  deliver(make_udp(app.self, app.server, as_bytes("garbage")));
  EXPECT_TRUE(names_.requests.empty());
  EXPECT_EQ(engine_->stats().dropped(tun2socks::Drop::malformed), 1U);
}

TEST_F(Udp, SegmentedDatagramsAreSeveralQueries) {
  const Client app = dns_client();
  ByteVector two = question(1);
  append(two, question(2));
  tun2socks::Offload offload;
  offload.needs_checksum = true;
  offload.segment_size = static_cast<uint16_t>(question().size());
  device_.deliver({make_udp(app.self, app.server, two)}, offload);
  ASSERT_EQ(names_.requests.size(), 2U);
  EXPECT_EQ(names_.requests[0]->query, question(1));
  EXPECT_EQ(names_.requests[1]->query, question(2));
}

TEST_F(Udp, OtherPortsAreUnreachable) {
  for (const bool v6 : {false, true}) {
    Client app = client(50000, v6);
    app.server.port = 443;
    const ByteVector datagram = make_udp(app.self, app.server, as_bytes("quic"));
    deliver(datagram);
    const SeenPacket packet = next_packet();
    EXPECT_EQ(packet.source, app.server.address);
    EXPECT_EQ(packet.payload[0], v6 ? 1 : 3);
    EXPECT_EQ(packet.payload[1], v6 ? 4 : 3);
    EXPECT_EQ(ByteVector(packet.payload.begin() + 8, packet.payload.end()), datagram);
  }
}

class FewQueries : public Udp {
 protected:
  FewQueries() : Udp({.max_queries = 2, .icmp_errors_per_second = 3}) {}
};

TEST_F(FewQueries, MoreAreDropped) {
  const Client app = dns_client();
  for (uint16_t i = 0; i < 5; ++i) deliver(make_udp(app.self, app.server, question(i)));
  EXPECT_EQ(names_.requests.size(), 2U);
  EXPECT_EQ(engine_->stats().dropped(tun2socks::Drop::query_limit), 3U);
  engine_.reset();
  EXPECT_TRUE(names_.requests[0]->cancelled);
}

TEST_F(FewQueries, ErrorsAreLimited) {
  Client app = client();
  app.server.port = 443;
  for (int i = 0; i < 50; ++i) device_.deliver(make_udp(app.self, app.server, as_bytes("x")));
  EXPECT_GE(device_.sent.size(), 3U);
  EXPECT_LT(device_.sent.size(), 50U);
  EXPECT_EQ(engine_->stats().dropped(tun2socks::Drop::rate_limit) + device_.sent.size(), 50U);
}

}  // namespace
}  // namespace tunproxy::testing
