#include "core/ssh/pool.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tests/unit/ssh/session_fixture.h"
#include "tests/unit/ssh/tap.h"

namespace tunproxy {
namespace {

using testing::Flow;
using testing::FlowTarget;
using testing::Tap;
using State = ssh::Pool::State;

class PoolTest : public testing::SessionTest {
 protected:
  void SetUp() override {
    start_sshd();
    tap_ = std::make_unique<Tap>(loop_, sshd_->port());
    target_ = std::make_unique<FlowTarget>(loop_, [](size_t) { return Flow::Plan{}; });
    options_.session.server = tap_->address();
    options_.session.first_pause = 10ms;
    options_.session.longest_pause = 50ms;
    options_.session.wait_for_session = 60s;
    options_.session.keepalive = 60s;
    options_.session.make_login = [this]() -> Result<std::unique_ptr<ssh::Login>> {
      return login(*sshd_);
    };
    options_.make_quiet_login = [this]() -> Result<std::unique_ptr<ssh::Login>> {
      ++quiet_logins_;
      if (quiet_refused_) return *quiet_refused_;
      return login(*sshd_);
    };
  }
  void TearDown() override {
    attempts_.clear();
    streams_.clear();
    pool_.reset();
  }

  void start() {
    pool_ = std::make_unique<ssh::Pool>(loop_, options_);
    pool_->on_state([this](State state, const Error*) { states_.push_back(state); });
    std::optional<bool> started;
    pool_->start([&](Result<void> outcome) { started = outcome.has_value(); });
    ASSERT_TRUE(run_until([&] { return started.has_value(); }));
    ASSERT_TRUE(*started);
  }

  /// `count` flows more, which stay open.
  void open_flows(size_t count) {
    const size_t all = streams_.size() + count;
    for (size_t n = 0; n < count; ++n) {
      attempts_.push_back(pool_->connect(target_->target(), [this](auto stream) {
        if (stream) streams_.push_back(std::move(*stream));
      }));
    }
    ASSERT_TRUE(run_until([&] { return streams_.size() == all; }));
  }

  size_t sessions() const { return pool_->status().sessions.size(); }
  size_t broken() const {
    size_t count = 0;
    for (const auto& stream : streams_) count += stream->error() != nullptr;
    return count;
  }

  ssh::PoolOptions options_;
  std::unique_ptr<Tap> tap_;
  std::unique_ptr<FlowTarget> target_;
  std::unique_ptr<ssh::Pool> pool_;
  std::vector<std::unique_ptr<net::Attempt>> attempts_;
  std::vector<std::unique_ptr<net::Stream>> streams_;
  std::vector<State> states_;
  std::optional<Error> quiet_refused_;
  size_t quiet_logins_ = 0;
};

TEST_F(PoolTest, GrowsWithItsFlowsAndSpreadsThem) {
  start();
  open_flows(1);
  EXPECT_EQ(sessions(), 1U);
  open_flows(ssh::Pool::kFlowsEach * 4);
  ASSERT_TRUE(run_until([&] { return sessions() == 4; }));
  open_flows(12);
  const auto status = pool_->status();
  EXPECT_EQ(status.channels, 25U);
  for (const auto& session : status.sessions) EXPECT_GE(session.channels, 4U);
  EXPECT_EQ(status.logins, 4U);
  EXPECT_EQ(status.reconnects, 0U);
  open_flows(20);
  EXPECT_EQ(quiet_logins_, 3U);
}

TEST_F(PoolTest, ASessionThatDiesTakesOnlyItsOwnFlows) {
  options_.sessions = 2;
  start();
  open_flows(4);
  ASSERT_TRUE(run_until([&] { return sessions() == 2; }));
  open_flows(4);
  ASSERT_EQ(pool_->status().sessions[1].channels, 4U);
  tap_->cut(1);
  ASSERT_TRUE(run_until([&] { return broken() == 4 && sessions() == 1; }));
  EXPECT_EQ(pool_->state(), State::online);
  EXPECT_EQ(pool_->status().losses, 1U);
  open_flows(1);
  EXPECT_EQ(broken(), 4U);
  ASSERT_TRUE(run_until([&] { return sessions() == 2; }));
  EXPECT_EQ(pool_->status().sessions[0].id, 1U);
  EXPECT_EQ(pool_->status().sessions[1].id, 3U) << "the second is gone for good";
}

TEST_F(PoolTest, WhatASessionCarriedIsCountedAcrossItsConnections) {
  options_.sessions = 1;
  FlowTarget source(loop_, [](size_t) { return Flow::Plan{1, 100000, 0, 0}; });
  start();
  std::vector<std::unique_ptr<Flow>> flows;
  for (uint64_t round = 1; round <= 2; ++round) {
    attempts_.push_back(pool_->connect(source.target(), [&](auto stream) {
      ASSERT_TRUE(stream) << stream.error().message;
      flows.push_back(std::make_unique<Flow>(std::move(*stream), Flow::Plan{0, 0, 1, 100000}));
    }));
    ASSERT_TRUE(run_until([&] { return flows.size() == round && flows.back()->received_all(); }));
    EXPECT_EQ(pool_->status().sessions[0].received, round * 100000);
    tap_->cut();
    ASSERT_TRUE(run_until([&] { return pool_->status().losses == round; }));
    EXPECT_EQ(pool_->status().sessions[0].received, round * 100000);
  }
}

TEST_F(PoolTest, WhileOneSessionLivesNewFlowsDoNotWait) {
  options_.sessions = 2;
  start();
  open_flows(4);
  ASSERT_TRUE(run_until([&] { return sessions() == 2; }));
  tap_->refuse(true);
  tap_->cut(0);
  ASSERT_TRUE(run_until([&] { return tap_->refusals() > 0; }));
  EXPECT_EQ(pool_->state(), State::online);
  open_flows(3);
  EXPECT_EQ(pool_->status().sessions[1].channels, 3U);
  tap_->refuse(false);
  EXPECT_TRUE(run_until([&] { return pool_->status().sessions[0].state == State::online; }));
  EXPECT_EQ(states_.back(), State::online);
}

TEST_F(PoolTest, ComesBackAfterAllWereCut) {
  start();
  open_flows(7);
  ASSERT_TRUE(run_until([&] { return sessions() == 3; }));
  tap_->cut();
  ASSERT_TRUE(run_until([&] { return broken() == 7; }));
  open_flows(1);
  EXPECT_EQ(pool_->state(), State::online);
  EXPECT_EQ(pool_->status().reconnects, 1U);
}

TEST_F(PoolTest, AnOpenThatALostSessionDidNotAnswerGoesToAnother) {
  options_.sessions = 2;
  start();
  open_flows(4);
  ASSERT_TRUE(run_until([&] { return sessions() == 2; }));
  sshd_->signal_connections(SIGSTOP);
  std::optional<bool> connected;
  attempts_.push_back(
      pool_->connect(target_->target(), [&](auto stream) { connected = stream.has_value(); }));
  tap_->cut(1);
  sshd_->signal(SIGCONT);
  ASSERT_TRUE(run_until([&] { return connected.has_value(); }));
  EXPECT_TRUE(*connected);
}

TEST_F(PoolTest, AServerThatGrantsNoSecondIsNotAskedAgainSoon) {
  quiet_refused_ = Error{ErrorCode::authentication_failed, "somebody would have to be asked"};
  start();
  open_flows(10);
  ASSERT_TRUE(run_until([&] { return quiet_logins_ == 1; }));
  open_flows(10);
  EXPECT_EQ(quiet_logins_, 1U);
  EXPECT_EQ(sessions(), 1U);
  EXPECT_EQ(pool_->state(), State::online);
}

TEST_F(PoolTest, ShrinksWhenIdle) {
  options_.idle = 10ms;
  start();
  open_flows(7);
  ASSERT_TRUE(run_until([&] { return sessions() == 3; }));
  streams_.clear();
  EXPECT_TRUE(run_until([&] { return sessions() == 1; }));
  EXPECT_EQ(pool_->status().losses, 0U);
  open_flows(1);
}

TEST_F(PoolTest, ShrinksWhenFewFlowsComeAndGo) {
  options_.idle = 300ms;
  start();
  open_flows(7);
  ASSERT_TRUE(run_until([&] { return sessions() == 3; }));
  streams_.clear();
  open_flows(3);
  // There is always one on each session, as the one with less gets the next.
  while (sessions() == 3) {
    streams_.erase(streams_.begin());
    ASSERT_NO_FATAL_FAILURE(open_flows(1));
    const Instant until = loop_.now() + 20ms;
    run_until([&] { return loop_.now() >= until; });
  }
  EXPECT_EQ(broken(), 0U);
}

TEST_F(PoolTest, OneTooManyServesWhenTheOtherIsLost) {
  options_.idle = 100ms;
  options_.sessions = 2;
  start();
  open_flows(4);
  ASSERT_TRUE(run_until([&] { return sessions() == 2; }));
  open_flows(1);
  streams_.erase(streams_.begin(), streams_.end() - 1);  // what is left is on the second
  const Instant until = loop_.now() + 3s;                // some of its ticks
  ASSERT_TRUE(run_until([&] { return loop_.now() > until; }));
  tap_->refuse(true);
  tap_->cut(0);
  ASSERT_TRUE(run_until([&] { return pool_->status().losses == 1; }));
  open_flows(1);
  EXPECT_EQ(pool_->state(), State::online);
  EXPECT_EQ(broken(), 0U);
}

TEST_F(PoolTest, ASessionWithAPortThatSomebodyWaitsAtIsNotIdle) {
  options_.idle = 10ms;
  options_.sessions = 2;
  start();
  open_flows(4);
  ASSERT_TRUE(run_until([&] { return sessions() == 2; }));
  bool bound = false;
  bool ended = false;
  const auto bind = pool_->bind(
      {Target::from_host("127.0.0.1", 21)}, [&](const Endpoint&) { bound = true; },
      [&](const Result<net::Accepted>&) { ended = true; });
  ASSERT_TRUE(run_until([&] { return bound; }));
  streams_.clear();
  const Instant until = loop_.now() + 3s;  // some of its ticks
  ASSERT_TRUE(run_until([&] { return loop_.now() > until; }));
  EXPECT_FALSE(ended);
  EXPECT_EQ(sessions(), 2U) << "the port is at the second one, and the first is there for good";
}

TEST_F(PoolTest, BulkAsksForASecondSession) {
  constexpr uint64_t kBytes = 256 << 20;
  FlowTarget source(loop_, [](size_t) { return Flow::Plan{1, kBytes, 0, 0}; });
  start();
  std::unique_ptr<Flow> flow;
  attempts_.push_back(pool_->connect(source.target(), [&](auto stream) {
    flow = std::make_unique<Flow>(std::move(*stream), Flow::Plan{0, 0, 1, kBytes});
  }));
  ASSERT_TRUE(run_until([&] { return sessions() == 2; }));
  open_flows(1);
  EXPECT_EQ(pool_->status().sessions[1].channels, 1U);
  EXPECT_GT(pool_->status().received, ssh::Pool::kMuch);
}

TEST_F(PoolTest, BulkThatIsOverWeighsNothing) {
  constexpr uint64_t kBytes = 256 << 20;
  FlowTarget source(loop_, [](size_t) { return Flow::Plan{1, kBytes, 0, 0}; });
  options_.sessions = 2;
  start();
  std::unique_ptr<Flow> flow;
  attempts_.push_back(pool_->connect(source.target(), [&](auto stream) {
    flow = std::make_unique<Flow>(std::move(*stream), Flow::Plan{0, 0, 1, kBytes});
  }));
  ASSERT_TRUE(run_until([&] { return sessions() == 2; }));
  flow.reset();
  ASSERT_TRUE(run_until([&] { return pool_->status().channels == 0; }));
  open_flows(8);
  for (const auto& session : pool_->status().sessions) EXPECT_EQ(session.channels, 4U);
}

TEST_F(PoolTest, AnExpeditedConnectionAndACommandGoThrough) {
  start();
  std::optional<bool> connected;
  attempts_.push_back(pool_->expedited().connect(
      target_->target(), [&](auto stream) { connected = stream.has_value(); }));
  std::optional<Result<ssh::ExecResult>> result;
  attempts_.push_back(pool_->exec("echo here", [&](auto outcome) { result = std::move(outcome); }));
  ASSERT_TRUE(run_until([&] { return connected && result; }));
  EXPECT_TRUE(*connected);
  ASSERT_TRUE(*result);
  EXPECT_EQ((*result)->output, "here\n");
}

TEST_F(PoolTest, StopsWithAllItsSessions) {
  start();
  open_flows(7);
  ASSERT_TRUE(run_until([&] { return sessions() == 3; }));
  pool_->stop();
  EXPECT_EQ(pool_->state(), State::stopped);
  EXPECT_TRUE(run_until([&] { return broken() == 7; }));
}

}  // namespace
}  // namespace tunproxy
