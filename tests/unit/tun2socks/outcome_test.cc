// What an application is told when its connection cannot be made.
#include <algorithm>

#include "tests/unit/tun2socks/fixture.h"

namespace tunproxy::testing {
namespace {

struct Outcome {
  ErrorCode code;
  bool reset;
  uint8_t v4;  // ICMP type 3
  uint8_t v6;  // ICMPv6 type 1
};

class Outcomes : public EngineTest, public ::testing::WithParamInterface<Outcome> {
 protected:
  void expect_icmp(const SeenPacket& packet, const Client& app, const ByteVector& syn, bool v6) {
    EXPECT_EQ(packet.protocol, v6 ? 58 : 1);
    EXPECT_EQ(packet.source, app.server.address);
    EXPECT_EQ(packet.destination, app.self.address);
    EXPECT_EQ(packet.payload[0], v6 ? 1 : 3);
    EXPECT_EQ(packet.payload[1], v6 ? GetParam().v6 : GetParam().v4);
    EXPECT_EQ(ByteVector(packet.payload.begin() + 8, packet.payload.end()), syn);
  }
};

TEST_P(Outcomes, IsToldOverBothVersions) {
  for (const bool v6 : {false, true}) {
    Client app = client(v6 ? 40001 : 40000, v6);
    const ByteVector syn = app.syn();
    deliver(syn);
    refuse_upstream(GetParam().code);
    const SeenPacket packet = next_packet();
    if (GetParam().reset) {
      EXPECT_EQ(packet.flags, kRst | kAck);
      EXPECT_EQ(packet.acknowledgement, app.next + 1);
      EXPECT_EQ(packet.source_port, 80);
      EXPECT_EQ(packet.destination_port, app.self.port);
    } else {
      expect_icmp(packet, app, syn, v6);
    }
    EXPECT_TRUE(silent());
  }
  EXPECT_EQ(engine_->stats().refused_with(GetParam().code), 2U);
  EXPECT_EQ(engine_->stats().flows_opening, 0U);
}

INSTANTIATE_TEST_SUITE_P(All, Outcomes,
                         ::testing::Values(Outcome{ErrorCode::refused, true, 0, 0},
                                           Outcome{ErrorCode::general, true, 0, 0},
                                           Outcome{ErrorCode::command_not_supported, true, 0, 0},
                                           Outcome{ErrorCode::address_not_supported, true, 0, 0},
                                           Outcome{ErrorCode::network_unreachable, false, 0, 0},
                                           Outcome{ErrorCode::host_unreachable, false, 1, 3},
                                           Outcome{ErrorCode::timed_out, false, 1, 3},
                                           Outcome{ErrorCode::server_unreachable, false, 1, 3},
                                           Outcome{ErrorCode::limit, false, 1, 3},
                                           Outcome{ErrorCode::not_allowed, false, 13, 1}),
                         [](const auto& outcome) {
                           std::string name(to_string(outcome.param.code));
                           std::replace(name.begin(), name.end(), ' ', '_');
                           return name;
                         });

class ShortConnect : public EngineTest {
 protected:
  ShortConnect() : EngineTest({.connect_timeout = 30ms}) {}
};

TEST_F(ShortConnect, TimesOutByItself) {
  Client app = client();
  deliver(app.syn());
  ASSERT_TRUE(run_until(loop_, [&] { return !device_.sent.empty(); }));
  const SeenPacket packet = next_packet();
  EXPECT_EQ(packet.protocol, 1);
  EXPECT_EQ(packet.payload[1], 1);
  EXPECT_TRUE(proxy_.requests[0]->cancelled);
  EXPECT_EQ(engine_->stats().refused_with(ErrorCode::timed_out), 1U);
}

}  // namespace
}  // namespace tunproxy::testing
