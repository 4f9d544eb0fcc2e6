#include "tun2socks/icmp.h"

#include "tests/unit/tun2socks/fixture.h"

namespace tunproxy::testing {
namespace {

class Echo : public EngineTest {};

TEST_F(Echo, IsAnsweredByWhoeverWasAsked) {
  for (const bool v6 : {false, true}) {
    const Client app = client(1, v6);
    deliver(make_echo(app.self.address, app.server.address, as_bytes("ping-data")));
    const SeenPacket reply = next_packet();
    EXPECT_EQ(reply.source, app.server.address);
    EXPECT_EQ(reply.destination, app.self.address);
    EXPECT_EQ(reply.payload[0], v6 ? 129 : 0);
    EXPECT_EQ(as_text(Bytes(reply.payload).subspan(8)), "ping-data");
  }
  EXPECT_EQ(engine_->stats().echo_replies, 2U);
}

TEST_F(Echo, OtherMessagesAreCountedAndDropped) {
  const Client app = client(1, true);
  ByteVector solicitation = make_echo(app.self.address, app.server.address, {});
  solicitation[40] = 133;
  deliver(solicitation);
  const Client app4 = client();
  ByteVector reply = make_echo(app4.self.address, app4.server.address, {});
  reply[20] = 0;
  deliver(reply);
  EXPECT_TRUE(silent());
  EXPECT_EQ(engine_->stats().dropped(tun2socks::Drop::not_served), 2U);
}

TEST_F(Echo, MulticastAndBroadcastAreDropped) {
  deliver(make_echo(client().self.address, *IpAddress::parse("224.0.0.1"), {}));
  deliver(make_echo(client().self.address, *IpAddress::parse("255.255.255.255"), {}));
  deliver(make_echo(client(1, true).self.address, *IpAddress::parse("ff02::2"), {}));
  EXPECT_TRUE(silent());
  EXPECT_EQ(engine_->stats().dropped(tun2socks::Drop::multicast), 3U);
}

TEST(Unreachable, QuotesNoMoreThanAllowed) {
  for (const char* const address : {"192.0.2.1", "2001:db8::1"}) {
    const IpAddress ip = *IpAddress::parse(address);
    const ByteVector large = tun2socks::make_ip(ip.bytes(), ip.bytes(), 17, 3000);
    const ByteVector error = tun2socks::make_unreachable(large, tun2socks::Unreachable::port());
    EXPECT_EQ(error.size(), ip.is_v4() ? 576U : 1280U);
  }
}

}  // namespace
}  // namespace tunproxy::testing
