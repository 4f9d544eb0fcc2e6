// Whether and when a server that does not answer is noticed.
#include "core/ssh/liveness.h"

#include <signal.h>

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/ssh/session_fixture.h"

namespace tunproxy::testing {
namespace {

using State = ssh::Liveness::State;

constexpr Duration kKeepalive = 1s;
constexpr Duration kWithoutFlows = 12 * kKeepalive;  // until the first probe

class LivenessTest : public SessionTest {
 protected:
  void TearDown() override {
    liveness_.reset();
    stream_.reset();
  }

  void watch(Duration keepalive, bool bears_others = false) {
    connect_session();
    liveness_ = std::make_unique<ssh::Liveness>(
        loop_, *session_,
        ssh::Liveness::Options{keepalive, [this] { return asleep_; }, bears_others},
        [this](State state) { states_.push_back(state); });
  }
  void open_flow() {
    auto stream = open(target_.target());
    ASSERT_TRUE(stream);
    stream_ = std::move(*stream);
    liveness_->used();
  }
  void freeze() {
    sshd_->signal_connections(SIGSTOP);
    frozen_at_ = loop_.now();
  }
  void pass(Duration time) {
    const Instant until = loop_.now() + time;
    ASSERT_TRUE(run_until([&] { return loop_.now() >= until; }));
  }
  bool dead() const { return liveness_->state() == State::dead; }

  FlowTarget target_{loop_, [](size_t) { return Flow::Plan{}; }};
  std::unique_ptr<net::Stream> stream_;
  Duration asleep_{};
  Instant frozen_at_{};
  std::vector<State> states_;
  std::unique_ptr<ssh::Liveness> liveness_;
};

TEST_F(LivenessTest, WithAFlowThatCarriesNothingASilentServerIsDeadAfterThreeKeepalives) {
  watch(kKeepalive);
  open_flow();
  const Instant opened = session_->last_heard();
  ASSERT_TRUE(
      run_until([&] { return session_->last_heard() > opened; }));  // it is asked, and answers
  EXPECT_FALSE(dead());
  states_.clear();
  freeze();
  const Instant heard = session_->last_heard();
  ASSERT_TRUE(run_until([&] { return dead(); }));
  EXPECT_EQ(states_.front(), State::suspect);
  EXPECT_GE(loop_.now() - heard, 3 * kKeepalive);
  EXPECT_LT(loop_.now() - heard, kWithoutFlows) << "as if there were no flow";
}

TEST_F(LivenessTest, APortThatTheServerListensAtForUsIsAFlow) {
  watch(kKeepalive);
  bool bound = false;
  const auto bind = session_->bind(
      {Target::from_host("127.0.0.1", 21)}, [&](const Endpoint&) { bound = true; },
      [](const Result<net::Accepted>&) {});
  ASSERT_TRUE(run_until([&] { return bound; }));
  liveness_->used();
  freeze();
  ASSERT_TRUE(run_until([&] { return dead(); }));
  EXPECT_LT(loop_.now() - frozen_at_, kWithoutFlows);
}

TEST_F(LivenessTest, WithoutFlowsItIsAskedRarelyAndAtOnceWhenItIsUsed) {
  watch(kKeepalive);
  freeze();
  pass(4 * kKeepalive);
  EXPECT_TRUE(states_.empty());
  liveness_->used();
  ASSERT_TRUE(run_until([&] { return !states_.empty(); }));
  EXPECT_LT(loop_.now() - frozen_at_, kWithoutFlows);
}

TEST_F(LivenessTest, WhatIsSentAfterALongSilenceCountsAsUse) {
  watch(kKeepalive, true);  // its channels are no flows
  const auto flow = open(target_.target());
  ASSERT_TRUE(flow);
  freeze();
  pass(4 * kKeepalive);
  EXPECT_TRUE(states_.empty());
  const uint8_t byte = 1;
  (*flow)->write({&byte, 1});
  ASSERT_TRUE(run_until([&] { return !states_.empty(); }));
  EXPECT_LT(loop_.now() - frozen_at_, kWithoutFlows);
}

TEST_F(LivenessTest, AStormOfChecksDoesNotKeepADeadServerAlive) {
  watch(kKeepalive);
  open_flow();
  freeze();
  Instant next = loop_.now();
  ASSERT_TRUE(run_until(
      [&] {
        if (loop_.now() >= next) {
          liveness_->check();
          next = loop_.now() + 20ms;
        }
        return dead();
      },
      60s));
}

TEST_F(LivenessTest, AStormOfChecksDoesNotHarmALivingOne) {
  watch(kKeepalive);
  open_flow();
  const Instant until = loop_.now() + 1s;
  ASSERT_TRUE(run_until([&] {
    liveness_->check();
    return loop_.now() >= until;
  }));
  pass(kKeepalive * 3 / 2);
  EXPECT_EQ(liveness_->state(), State::alive);
  EXPECT_LT(liveness_->round_trip(), 10s);
}

TEST_F(LivenessTest, AProcessThatStoodStillReadsBeforeItJudges) {
  watch(kKeepalive);
  open_flow();
  const Instant opened = session_->last_heard();
  liveness_->check();
  loop_.run_once(false);  // the question leaves
  std::this_thread::sleep_for(3 * kKeepalive);
  ASSERT_TRUE(run_until([&] { return session_->last_heard() > opened; }));
  pass(kKeepalive / 2);
  EXPECT_FALSE(dead());
}

TEST_F(LivenessTest, WhileItIsPausedNoSilenceCountsNotEvenOfAProbeUnderWay) {
  watch(kKeepalive);
  open_flow();
  freeze();
  liveness_->check();
  liveness_->pause();
  liveness_->check();
  liveness_->used();
  pass(4 * kKeepalive);
  EXPECT_TRUE(states_.empty());
  liveness_->resume();
  ASSERT_TRUE(run_until([&] { return dead(); }));
}

TEST_F(LivenessTest, WithoutAKeepaliveItIsSuspectAtMost) {
  watch(0ms);
  open_flow();
  freeze();
  liveness_->check();
  ASSERT_TRUE(run_until([&] { return !states_.empty(); }));
  sshd_->signal(SIGCONT);
  ASSERT_TRUE(run_until([&] { return states_.size() == 2; }));
  EXPECT_EQ(states_, (std::vector{State::suspect, State::alive}));
}

TEST_F(LivenessTest, ASuspendIsNoticedByTheTimerOfAnyProbe) {
  watch(kKeepalive);
  freeze();
  asleep_ = 1h;
  // Without flows: by the next timer, which stands at twelve keepalives.
  ASSERT_TRUE(run_until([&] { return !states_.empty(); }));
}

}  // namespace
}  // namespace tunproxy::testing
