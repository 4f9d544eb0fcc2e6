// The life of associations: opening, use, ends. Sharing has a test of its own.
#include "tun2socks/udp_pool.h"

#include "tests/unit/tun2socks/pool_fixture.h"

namespace tunproxy::testing {
namespace {

class UdpPool : public UdpPoolTest {};

TEST_F(UdpPool, OneLocalPortHasOneAssociationForAnyNumberOfPeers) {
  for (unsigned i = 0; i < 200; ++i) EXPECT_EQ(send(1, i), Outcome::taken);
  ASSERT_EQ(proxy_.all.size(), 1U);
  proxy_.open(0);
  for (unsigned i = 0; i < 200; ++i) EXPECT_EQ(send(1, i, "again"), Outcome::taken);
  EXPECT_EQ(sent(0), Pool::kMaxWaiting + 200);
  for (unsigned i = 0; i < 200; ++i) proxy_.reply(0, peer(i), "answer");
  ASSERT_EQ(host_.delivered.size(), 200U);
  for (unsigned i = 0; i < 200; ++i) {
    EXPECT_EQ(host_.delivered[i], (ManualHost::Datagram{peer(i), local(1), "answer"}));
  }
  EXPECT_EQ(proxy_.all.size(), 1U);
}

TEST_F(UdpPool, TwoLocalPortsToOnePeerHaveTwo) {
  send(1, 7);
  send(2, 7);
  proxy_.open_all();
  ASSERT_EQ(proxy_.all.size(), 2U);
  proxy_.reply(1, peer(7), "two");
  proxy_.reply(0, peer(7), "one");
  ASSERT_EQ(host_.delivered.size(), 2U);
  EXPECT_EQ(host_.delivered[0].to, local(2));
  EXPECT_EQ(host_.delivered[1].to, local(1));
}

TEST_F(UdpPool, StrangersMayWriteToAnAssociation) {
  send(1, 7);
  proxy_.open(0);
  proxy_.reply(0, peer(99), "hello");
  proxy_.reply(0, *Endpoint::parse("[::ffff:192.0.2.7]:1000"), "mapped");
  ASSERT_EQ(host_.delivered.size(), 2U);
  EXPECT_EQ(host_.delivered[0], (ManualHost::Datagram{peer(99), local(1), "hello"}));
  EXPECT_EQ(host_.delivered[1].from, peer(7));
}

TEST_F(UdpPool, FirstDatagramsWaitInOrderAndTheOldestGo) {
  for (unsigned i = 0; i < Pool::kMaxWaiting + 10; ++i) send(1, 7, std::to_string(i));
  EXPECT_EQ(stats_.dropped(Drop::opening_limit), 10U);
  proxy_.open(0);
  ASSERT_EQ(sent(0), Pool::kMaxWaiting);
  EXPECT_EQ(as_text(proxy_.all[0]->sent.front().second), "10");
  EXPECT_EQ(as_text(proxy_.all[0]->sent.back().second), std::to_string(Pool::kMaxWaiting + 9));
  EXPECT_EQ(stats_.udp_datagrams_up, Pool::kMaxWaiting);
}

TEST_F(UdpPool, WaitingBytesAreBounded) {
  const std::string largest(Pool::kMaxPayload, 'x');
  send(1, 7, std::string(3000, 's'));
  send(1, 7, largest);
  EXPECT_EQ(stats_.dropped(Drop::opening_limit), 1U);
  // Five of them fit below the bound of all; then each newcomer finds no room.
  for (unsigned i = 2; i <= 20; ++i) send(i, 7, largest);
  EXPECT_EQ(stats_.dropped(Drop::opening_limit), 1U + 15);
  proxy_.open_all();
  EXPECT_EQ(proxy_.all[0]->sent.front().second.size(), largest.size());
  // What was sent makes room.
  send(30, 7, largest);
  EXPECT_EQ(stats_.dropped(Drop::opening_limit), 1U + 15);
}

TEST_F(UdpPool, DatagramsThatAreTooLargeAreDropped) {
  EXPECT_EQ(send(1, 7, std::string(Pool::kMaxPayload + 1, 'x')), Outcome::dropped);
  EXPECT_EQ(stats_.dropped(Drop::too_large), 1U);
  EXPECT_TRUE(proxy_.all.empty());
}

TEST_F(UdpPool, EmptyDatagramsPassBothWays) {
  send(1, 7, "");
  proxy_.open(0);
  send(1, 7, "");
  EXPECT_EQ(sent(0), 2U);
  proxy_.reply(0, peer(7), "");
  ASSERT_EQ(host_.delivered.size(), 1U);
  EXPECT_EQ(host_.delivered[0].text, "");
}

TEST_F(UdpPool, IdleOnesAreReaped) {
  send(1, 7);
  send(2, 7);
  proxy_.open_all();
  pass(60s);
  proxy_.reply(1, peer(7), "traffic down counts");
  EXPECT_EQ(pool_.next_wake(), host_.time + 60s);
  pass(60s - 1ms);
  EXPECT_EQ(pool_.size(), 2U);
  pass(1ms);
  EXPECT_EQ(pool_.size(), 1U);
  EXPECT_TRUE(proxy_.all[0]->destroyed);
  EXPECT_FALSE(proxy_.all[1]->destroyed);
  pass(60s);
  EXPECT_EQ(pool_.size(), 0U);
  EXPECT_EQ(stats_.udp_reaped, 2U);
  EXPECT_FALSE(pool_.next_wake()) << "nothing is due in an empty pool";
}

TEST_F(UdpPool, RefusalIsToldOfEachDatagramThatWaited) {
  send(1, 7, "a");
  send(1, 8, "b");
  proxy_.fail(0);
  ASSERT_EQ(host_.refused.size(), 2U);
  EXPECT_EQ(host_.refused[0], (ManualHost::Datagram{local(1), peer(7), "a"}));
  EXPECT_EQ(host_.refused[1], (ManualHost::Datagram{local(1), peer(8), "b"}));
  EXPECT_EQ(pool_.size(), 0U);
  EXPECT_EQ(stats_.udp_failed, 1U);
}

TEST_F(UdpPool, WhatTheSessionForbidsIsToldAsSuch) {
  send(0, 1, "forbidden");
  send(0, 2, "allowed");
  proxy_.all[0]->forbidden = Target(peer(1));
  proxy_.open(0);
  EXPECT_EQ(sent(0), 1U);
  ASSERT_EQ(host_.refused.size(), 1U);
  EXPECT_EQ(host_.refused[0].text, "forbidden");
  EXPECT_EQ(host_.reasons[0], ErrorCode::not_allowed);
  EXPECT_EQ(send(0, 1), Outcome::prohibited);
  EXPECT_EQ(send(0, 2), Outcome::taken);
  EXPECT_EQ(sent(0), 2U);
  EXPECT_EQ(stats_.udp_refused, 2U);
}

TEST_F(UdpPool, FailureIsFollowedByAGrowingPause) {
  std::vector<Duration> pauses;
  send(1, 7);
  for (int round = 0; round < 7; ++round) {
    proxy_.fail(proxy_.all.size() - 1);
    const Instant failed = host_.time;
    while (send(1, 7) == Outcome::refused) host_.time += 50ms;
    pauses.push_back(host_.time - failed);
  }
  EXPECT_EQ(pauses.front(), tun2socks::RetryPause::kShortest);
  EXPECT_EQ(pauses.back(), tun2socks::RetryPause::kLongest);
}

TEST_F(UdpPool, AfterCalmThePauseIsShortAgain) {
  for (int i = 0; i < 5; ++i) {
    send(1, 7);
    proxy_.fail(proxy_.all.size() - 1);
    host_.time += 4s;
  }
  host_.time += 20s;
  send(1, 7);
  proxy_.fail(proxy_.all.size() - 1);
  EXPECT_EQ(send(1, 7), Outcome::refused);
  host_.time += tun2socks::RetryPause::kShortest;
  EXPECT_EQ(send(1, 7), Outcome::taken);
}

TEST_F(UdpPool, DeadCarrierClosesAllAndTheyComeBack) {
  for (unsigned i = 0; i < 20; ++i) send(i, 7);
  proxy_.open_all();
  host_.time += Pool::kShortLived;
  for (size_t i = 0; i < 20; ++i) proxy_.lose(i);
  EXPECT_EQ(pool_.size(), 0U);
  EXPECT_EQ(stats_.udp_lost, 20U);
  EXPECT_FALSE(proxy_.all[0]->destroyed) << "not from within its own callback";
  proxy_.reply(0, peer(7), "late");
  EXPECT_TRUE(host_.delivered.empty());
  proxy_.lose(0);
  pool_.sweep();
  EXPECT_TRUE(proxy_.all[0]->destroyed);
  EXPECT_EQ(send(3, 7), Outcome::taken);
  ASSERT_EQ(proxy_.all.size(), 21U);
  proxy_.open(20);
  proxy_.reply(20, peer(7), "back");
  ASSERT_EQ(host_.delivered.size(), 1U);
  EXPECT_EQ(host_.delivered[0].to, local(3));
}

TEST_F(UdpPool, OneThatIsLostAsSoonAsItOpenedCountsAsFailed) {
  send(1, 7);
  host_.time += 5s;
  proxy_.open(0);
  host_.time += Pool::kShortLived - 1ms;
  proxy_.lose(0);
  EXPECT_EQ(send(1, 7), Outcome::refused);
  EXPECT_EQ(stats_.udp_refused, 1U);
  host_.time += tun2socks::RetryPause::kShortest;
  EXPECT_EQ(send(1, 7), Outcome::taken);
}

TEST_F(UdpPool, AnUpstreamThatEndsIdleOnesDelaysNoOther) {
  for (unsigned i = 0; i < 3; ++i) send(i, 7);
  proxy_.open_all();
  host_.time += 1min;
  for (size_t i = 0; i < 3; ++i) {
    proxy_.lose(i);
    EXPECT_EQ(send(static_cast<unsigned>(10 + i), 7), Outcome::taken);
  }
}

TEST_F(UdpPool, OpeningEndsInTime) {
  send(1, 7);
  EXPECT_EQ(pool_.next_wake(), host_.time + Pool::kOpenTimeout);
  pass(Pool::kOpenTimeout);
  EXPECT_TRUE(proxy_.all[0]->cancelled);
  EXPECT_EQ(host_.refused.size(), 1U);
  EXPECT_EQ(pool_.size(), 0U);
}

class FewUdp : public UdpPoolTest {
 protected:
  FewUdp() : UdpPoolTest(3) {}
};

TEST_F(FewUdp, LeastRecentlyUsedGoesFirst) {
  for (unsigned i = 0; i < 3; ++i) send(i, 7);
  proxy_.open_all();
  host_.time += 1s;
  send(0, 7);
  host_.time += 1s;
  proxy_.reply(1, peer(7), "used");
  host_.time += 10s;
  for (unsigned i = 3; i < 5; ++i) {
    EXPECT_EQ(send(i, 7), Outcome::taken);
    EXPECT_EQ(pool_.size(), 3U);
  }
  pool_.sweep();
  EXPECT_TRUE(proxy_.all[2]->destroyed);
  EXPECT_TRUE(proxy_.all[0]->destroyed);
  EXPECT_FALSE(proxy_.all[1]->destroyed);
  EXPECT_EQ(stats_.udp_evicted, 2U);
}

TEST_F(FewUdp, BusyOnesAreNotEvicted) {
  for (unsigned i = 0; i < 3; ++i) send(i, 7);
  proxy_.open_all();
  host_.time += Pool::kQuiet - 1ms;
  EXPECT_EQ(send(3, 7), Outcome::refused);
  EXPECT_EQ(stats_.dropped(Drop::association_limit), 1U);
  host_.time += 1ms;
  EXPECT_EQ(send(3, 7), Outcome::taken);
  EXPECT_EQ(stats_.udp_evicted, 1U);
}

TEST_F(FewUdp, NothingIsEvictedForWhatCannotBeOpened) {
  for (unsigned i = 0; i < 3; ++i) send(i, 7);
  proxy_.open(0);
  proxy_.open(1);
  host_.time += 8s;
  proxy_.fail(2);
  send(3, 7);
  EXPECT_EQ(pool_.size(), 2U);
  EXPECT_EQ(stats_.udp_evicted, 0U);
}

}  // namespace
}  // namespace tunproxy::testing
