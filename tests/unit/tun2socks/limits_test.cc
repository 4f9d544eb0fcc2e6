#include "tests/unit/tun2socks/fixture.h"

namespace tunproxy::testing {
namespace {

using tun2socks::Drop;

class FewFlows : public EngineTest {
 protected:
  FewFlows() : EngineTest({.max_flows = 5, .max_opening = 3}) {}
};

TEST_F(FewFlows, SynFloodIsBounded) {
  for (uint16_t port = 1; port <= 1000; ++port) device_.deliver(client(port).syn());
  EXPECT_EQ(proxy_.requests.size(), 3U);
  EXPECT_EQ(engine_->stats().flows_opening, 3U);
  EXPECT_EQ(engine_->stats().dropped(Drop::syn_limit), 997U);
  EXPECT_TRUE(silent());
}

class FewFlowsAndPatience : public EngineTest {
 protected:
  FewFlowsAndPatience() : EngineTest({.max_opening = 3, .opening_patience = 20ms}) {}
};

TEST_F(FewFlowsAndPatience, SilentTargetsGiveWay) {
  for (uint16_t port = 1; port <= 10; ++port) device_.deliver(client(port).syn());
  EXPECT_EQ(proxy_.requests.size(), 3U);
  EXPECT_TRUE(silent());
  const Instant then = loop_.now();
  ASSERT_TRUE(run_until(loop_, [&] { return loop_.now() - then >= 20ms; }));
  for (uint16_t port = 11; port <= 20; ++port) device_.deliver(client(port).syn());
  EXPECT_EQ(proxy_.requests.size(), 6U);
  EXPECT_EQ(engine_->stats().refused_with(ErrorCode::timed_out), 3U);
  EXPECT_EQ(engine_->stats().dropped(Drop::syn_limit), 14U);
  EXPECT_EQ(engine_->stats().flows_opening, 3U);
}

TEST_F(FewFlows, FlowsAreBoundedAndComeFree) {
  std::vector<std::unique_ptr<MemoryStream>> far;
  std::vector<Client> apps;
  for (uint16_t port = 1; port <= 5; ++port) {
    apps.push_back(client(port));
    far.push_back(open(apps.back()));
  }
  EXPECT_EQ(engine_->stats().flows_active, 5U);
  deliver(client(6).syn());
  EXPECT_EQ(engine_->stats().dropped(Drop::flow_limit), 1U);
  deliver(apps[0].segment(kRst | kAck));
  deliver(client(6).syn());
  EXPECT_EQ(proxy_.requests.size(), 6U);
}

class SmallMemory : public EngineTest {
 protected:
  static constexpr size_t kCap = size_t{512} * 1024;
  SmallMemory() : EngineTest({.memory_cap = kCap, .window = 128 * 1024}) {}
};

TEST_F(SmallMemory, WhatIsPromisedToManyFits) {
  std::vector<std::unique_ptr<MemoryStream>> far;
  size_t promised = 0;
  for (uint16_t port = 1; port <= 60; ++port) {
    Client app = client(port);
    deliver(app.syn());
    far.push_back(accept_upstream());
    const SeenPacket answer = next_packet();
    ASSERT_TRUE(answer.has(kSyn | kAck));
    EXPECT_GE(answer.window, 2920);  // two segments at least, so that none waits for another
    promised += answer.window;
  }
  EXPECT_LE(promised, kCap);
}

TEST_F(SmallMemory, StalledUpstreamsStayBelowTheCap) {
  std::vector<std::unique_ptr<MemoryStream>> far;
  std::vector<Client> apps;
  for (uint16_t port = 1; port <= 60; ++port) {
    apps.push_back(client(port));
    far.push_back(open(apps.back(), {2, 4, 5, 180, 3, 3, 7, 1}));
  }
  for (int round = 0; round < 200; ++round) {
    for (Client& app : apps) send(app, std::string(1400, 'm'));
    forget_packets();
    ASSERT_LE(engine_->stats().buffered_bytes, kCap);
  }
  EXPECT_GT(engine_->stats().dropped(Drop::memory_limit), 0U);
  far.clear();
  settle();
  EXPECT_EQ(engine_->stats().buffered_bytes, 0U);
}

TEST_F(SmallMemory, StalledApplicationsStayBelowTheCap) {
  std::vector<std::unique_ptr<MemoryStream>> far;
  std::vector<Client> apps;
  for (uint16_t port = 1; port <= 60; ++port) {
    apps.push_back(client(port));
    far.push_back(open(apps.back(), {2, 4, 5, 180, 3, 3, 7, 1}));
  }
  const std::string block(30000, 'm');
  for (int round = 0; round < 30; ++round) {
    for (auto& stream : far) stream->write(as_bytes(block));
    settle();
    ASSERT_LE(engine_->stats().buffered_bytes, kCap);
  }
  // One application that reads gets everything, whatever the others do.
  size_t got = 0;
  for (int round = 0; round < 200 && got < 200000; ++round) {
    far[7]->write(as_bytes(block));
    got += receive(apps[7]).size();
  }
  EXPECT_GE(got, 200000U);
}

class Idle : public EngineTest {
 protected:
  Idle() : EngineTest({.half_closed_idle = 40ms, .established_idle = 2h}) {}
};

TEST_F(Idle, HalfClosedFlowsEnd) {
  Client app = client();
  Client other = client(2);
  auto far = open(app);
  auto far_other = open(other);
  deliver(app.segment(kAck | kFin));
  ASSERT_TRUE(run_until(loop_, [&] { return engine_->stats().flows_active == 1; }));
  settle();
  EXPECT_NE(far->error(), nullptr);
  EXPECT_EQ(far_other->error(), nullptr);
}

class Impatient : public EngineTest {
 protected:
  Impatient() : EngineTest({.established_idle = 40ms}) {}
};

TEST_F(Impatient, IdleFlowsEndAndReset) {
  Client app = client();
  auto far = open(app);
  ASSERT_TRUE(run_until(loop_, [&] { return engine_->stats().flows_active == 0; }));
  settle();
  ASSERT_FALSE(device_.sent.empty());
  const auto last = SeenPacket::make(device_.sent.back());
  EXPECT_TRUE(last && last->has(kRst));
}

class Quiet : public EngineTest {};

TEST_F(Quiet, IdleConnectionsNeedNoTimer) {
  std::vector<std::unique_ptr<MemoryStream>> far;
  std::vector<Client> apps;
  for (uint16_t port = 1; port <= 50; ++port) {
    apps.push_back(client(port));
    far.push_back(open(apps.back()));
    send(apps.back(), "hello");
    far.back()->write(as_bytes("world"));
    EXPECT_EQ(receive(apps.back()), "world");
  }
  far[0]->finish();  // waits in FIN_WAIT_2
  const SeenPacket fin = next_packet();
  apps[0].expected = fin.sequence + 1;
  deliver(apps[0].segment(kAck));
  EXPECT_FALSE(engine_->stats().timer_running);
  const uint64_t before = engine_->stats().timer_wakeups;
  // and it runs again when something is due
  far[1]->write(as_bytes("x"));
  ASSERT_TRUE(run_until(loop_, [&] { return engine_->stats().timer_wakeups > before; }));
}

TEST_F(Quiet, HandshakeThatIsNeverFinishedIsForgotten) {
  Client app = client();
  deliver(app.syn());
  auto far = accept_upstream();
  EXPECT_TRUE(next_packet().has(kSyn | kAck));
  deliver(app.syn());
  app.next += 1;
  deliver(app.segment(kRst));
  EXPECT_NE(far->error(), nullptr);
}

}  // namespace
}  // namespace tunproxy::testing
