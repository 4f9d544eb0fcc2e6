// Flows that share an association when all are busy.
#include <set>

#include "tests/unit/tun2socks/pool_fixture.h"

namespace tunproxy::testing {
namespace {

class Sharing : public UdpPoolTest {
 protected:
  Sharing() : UdpPoolTest(2) {}
  /// Locals 0 and 1 own the associations and talk to peer 0.
  void fill() {
    send(0, 0);
    send(1, 0);
    proxy_.open_all();
  }
  /// The association that carried the last datagram of `text`.
  size_t carrier(std::string_view text) const {
    for (size_t i = 0; i < proxy_.all.size(); ++i) {
      for (const auto& [to, payload] : proxy_.all[i]->sent) {
        if (as_text(payload) == text) return i;
      }
    }
    ADD_FAILURE() << text << " was not sent";
    return 0;
  }
};

TEST_F(Sharing, GuestsGetTheirAnswersAndOwnersTheirs) {
  fill();
  EXPECT_EQ(send(2, 5, "guest"), Outcome::taken);
  EXPECT_EQ(proxy_.all.size(), 2U);
  const size_t at = carrier("guest");
  proxy_.reply(at, peer(5), "for the guest");
  proxy_.reply(at, peer(0), "for the owner");
  proxy_.reply(at, peer(77), "from a stranger");
  ASSERT_EQ(host_.delivered.size(), 3U);
  EXPECT_EQ(host_.delivered[0].to, local(2));
  EXPECT_EQ(host_.delivered[1].to, local(static_cast<unsigned>(at)));
  EXPECT_EQ(host_.delivered[2].to, local(static_cast<unsigned>(at)));
  EXPECT_EQ(stats_.udp_shared, 1U);
  send(2, 5, "again");
  EXPECT_EQ(carrier("again"), at);
  EXPECT_EQ(stats_.udp_shared, 1U);
}

TEST_F(Sharing, NoTwoFlowsToOneDestination) {
  fill();
  EXPECT_EQ(send(2, 0), Outcome::refused) << "both owners talk to it";
  EXPECT_EQ(send(2, 5, "a"), Outcome::taken);
  EXPECT_EQ(send(3, 5, "b"), Outcome::taken);
  EXPECT_NE(carrier("a"), carrier("b"));
  EXPECT_EQ(send(4, 5), Outcome::refused);
  EXPECT_EQ(stats_.dropped(Drop::association_limit), 2U);
}

TEST_F(Sharing, OwnerMustNotMeetItsGuestEither) {
  fill();
  send(2, 5, "guest");
  const auto owner = static_cast<unsigned>(carrier("guest"));
  EXPECT_EQ(send(owner, 5, "owner"), Outcome::taken);
  EXPECT_NE(carrier("owner"), carrier("guest")) << "went as a guest of the other";
  proxy_.reply(carrier("owner"), peer(5), "1");
  proxy_.reply(carrier("guest"), peer(5), "2");
  ASSERT_EQ(host_.delivered.size(), 2U);
  EXPECT_EQ(host_.delivered[0].to, local(owner));
  EXPECT_EQ(host_.delivered[1].to, local(2));
}

TEST_F(Sharing, GuestStaysTogether) {
  fill();
  for (unsigned i = 10; i < 20; ++i) send(2, i, "guest " + std::to_string(i));
  std::set<size_t> carriers;
  for (unsigned i = 10; i < 20; ++i) carriers.insert(carrier("guest " + std::to_string(i)));
  EXPECT_EQ(carriers.size(), 1U) << "its destinations see one address";
}

TEST_F(Sharing, OneWithMoreDestinationsThanCanBeToldIsNotShared) {
  for (unsigned i = 0; i < 100; ++i) send(0, i);
  send(1, 0);
  proxy_.open_all();
  send(2, 200, "guest");
  EXPECT_EQ(carrier("guest"), 1U);
  for (unsigned i = 0; i < 100; ++i) send(1, i);
  EXPECT_EQ(send(3, 201), Outcome::refused);
  EXPECT_EQ(send(2, 200, "still"), Outcome::taken);
  EXPECT_EQ(carrier("still"), 1U);
  proxy_.reply(1, peer(200), "to the guest");
  EXPECT_EQ(host_.delivered.back().to, local(2));
}

TEST_F(Sharing, TablesAreBoundedAndIdleFlowsGiveTheirPlacesBack) {
  fill();
  unsigned taken = 0;
  for (unsigned i = 1; i < 200; ++i) taken += send(2, i) == Outcome::taken ? 1 : 0;
  EXPECT_EQ(taken, 2 * (tun2socks::UdpPeers::kMost - 1));
  for (int i = 0; i < 30; ++i) {
    pass(4s);
    send(0, 0);
    send(1, 0);
  }
  host_.time += 4s;
  send(0, 0);
  send(1, 0);
  EXPECT_EQ(send(2, 199, "again"), Outcome::taken);
}

TEST_F(Sharing, OldDestinationsOfAnOwnerAreForgotten) {
  fill();
  for (unsigned i = 1; i < 100; ++i) {
    host_.time += 10s;
    send(0, i);
    send(1, 0);
  }
  send(2, 200, "guest");
  send(3, 200, "another");
  EXPECT_EQ(carrier("guest") + carrier("another"), 1U) << "both owners are shared";
}

TEST_F(Sharing, GuestsGoWithTheirAssociation) {
  fill();
  send(2, 5, "guest");
  const size_t at = carrier("guest");
  proxy_.lose(at);
  host_.time += tun2socks::RetryPause::kShortest;
  EXPECT_EQ(send(2, 5, "own"), Outcome::taken);
  ASSERT_EQ(proxy_.all.size(), 3U) << "there is room now";
  proxy_.open(2);
  EXPECT_EQ(carrier("own"), 2U);
}

TEST_F(Sharing, WaitsWithTheOwner) {
  send(0, 0);
  send(1, 0);
  send(2, 5, "guest");
  proxy_.open(0);
  proxy_.open(1);
  const size_t at = carrier("guest");
  proxy_.reply(at, peer(5), "answer");
  EXPECT_EQ(host_.delivered.back().to, local(2));
  send(3, 6);
}

TEST_F(Sharing, OtherVersionOfIpIsAnotherDestination) {
  fill();
  const Endpoint local6 = *Endpoint::parse("[fd00::2]:9");
  const Endpoint peer6 = *Endpoint::parse("[2001:db8::7]:1000");
  EXPECT_EQ(pool_.send({local6, peer6}, as_bytes("six")), Outcome::taken);
  proxy_.reply(carrier("six"), peer6, "answer");
  EXPECT_EQ(host_.delivered.back().to, local6);
}

class HundredUdp : public UdpPoolTest {};

TEST_F(HundredUdp, TwoHundredLocalPortsToPeersOfTheirOwn) {
  for (unsigned round = 0; round < 3; ++round) {
    for (unsigned i = 0; i < 200; ++i) {
      EXPECT_EQ(send(i, i, std::to_string(i)), Outcome::taken);
      if (i % 10 == 0) proxy_.open_all();
    }
    proxy_.open_all();
    host_.time += 1s;
  }
  EXPECT_EQ(proxy_.all.size(), 100U);
  EXPECT_EQ(stats_.udp_shared, 100U);
  for (size_t a = 0; a < proxy_.all.size(); ++a) {
    const auto all_sent = proxy_.all[a]->sent;
    for (const auto& [to, payload] : all_sent) {
      proxy_.reply(a, {to.address(), to.port()}, as_text(payload));
    }
  }
  ASSERT_EQ(host_.delivered.size(), 600U);
  for (const auto& datagram : host_.delivered) {
    EXPECT_EQ(datagram.to, local(static_cast<unsigned>(std::stoul(datagram.text))));
  }
}

}  // namespace
}  // namespace tunproxy::testing
