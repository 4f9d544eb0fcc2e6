#include "core/ssh/supervisor.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/ssh/supervisor_fixture.h"

namespace tunproxy::testing {
namespace {

using State = ssh::Supervisor::State;

TEST_F(SupervisorTest, ComesOnlineAndCarries) {
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{}; });
  ASSERT_TRUE(start());
  EXPECT_EQ(states_, (std::vector{State::connecting, State::authenticating, State::online}));
  EXPECT_FALSE(connect(target.target()));
}

TEST_F(SupervisorTest, ReconnectsAndLetsNewFlowsWait) {
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{}; });
  ASSERT_TRUE(start());
  tap_->cut();
  ASSERT_TRUE(run_until([&] { return supervisor_->state() == State::reconnecting; }));
  EXPECT_FALSE(connect(target.target()));
  EXPECT_EQ(supervisor_->state(), State::online);
  EXPECT_EQ(tap_->connections(), 2U);
}

TEST_F(SupervisorTest, ARefusingServerMakesItTryAgain) {
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{}; });
  ASSERT_TRUE(start());
  tap_->refuse(true);
  tap_->cut();
  ASSERT_TRUE(run_until([&] { return supervisor_->state() == State::reconnecting; }));
  std::optional<bool> connected;
  attempt_ =
      supervisor_->connect(target.target(), [&](auto stream) { connected = stream.has_value(); });
  // What closes without a word is given time; a change of the network may be the end of it.
  const auto network_changes_until = [&](const std::function<bool()>& condition) {
    return run_until([&] {
      supervisor_->network_changed();
      return condition();
    });
  };
  ASSERT_TRUE(network_changes_until([&] { return tap_->refusals() >= 5; }));
  EXPECT_FALSE(connected);
  tap_->refuse(false);
  ASSERT_TRUE(run_until([&] { return connected.has_value(); }));
  EXPECT_TRUE(*connected);
}

TEST_F(SupervisorTest, AWaitingFlowMayBeCancelled) {
  ASSERT_TRUE(start());
  tap_->refuse(true);
  tap_->cut();
  ASSERT_TRUE(run_until([&] { return supervisor_->state() == State::reconnecting; }));
  attempt_ = supervisor_->connect(*Target::parse("127.0.0.1:1"), [](auto) { FAIL(); });
  attempt_.reset();
  tap_->refuse(false);
  EXPECT_TRUE(run_until([&] { return supervisor_->state() == State::online; }));
}

TEST_F(SupervisorTest, ARefusedLoginWhileReconnectingIsTheEnd) {
  ASSERT_TRUE(start());
  bad_login_ = Error{ErrorCode::host_key_refused, "the key changed"};
  tap_->cut();
  ASSERT_TRUE(run_until([&] { return supervisor_->state() == State::failed; }));
  EXPECT_EQ(reason_, ErrorCode::host_key_refused);
  EXPECT_EQ(connect(*Target::parse("127.0.0.1:1")), ErrorCode::host_unreachable);
}

TEST_F(SupervisorTest, FlowsThatWaitFailWithIt) {
  ASSERT_TRUE(start());
  tap_->cut();
  ASSERT_TRUE(run_until([&] { return supervisor_->state() == State::reconnecting; }));
  bad_login_ = Error{ErrorCode::authentication_failed, "no"};
  EXPECT_EQ(connect(*Target::parse("127.0.0.1:1")), ErrorCode::host_unreachable);
}

TEST_F(SupervisorTest, AServerThatIsNotThereFailsTheStart) {
  const Target closed = tap_->address();
  make_supervisor(usual_options());
  tap_.reset();
  const auto started = start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::server_unreachable);
  EXPECT_NE(started.error().message.find(closed.to_string()), std::string::npos);
  EXPECT_EQ(supervisor_->state(), State::failed);
}

TEST_F(SupervisorTest, APauseAtItsStartDoesNotEndIt) {
  std::optional<Result<void>> outcome;
  supervisor_->start([&](Result<void> started) { outcome = std::move(started); });
  supervisor_->pause();
  ASSERT_TRUE(run_until([&] { return outcome.has_value(); }));
  EXPECT_TRUE(*outcome);
}

TEST_F(SupervisorTest, KeepsTryingFromTheFirstConnectionOn) {
  auto options = usual_options();
  options.keep_trying = true;
  make_supervisor(std::move(options));
  tap_->refuse(true);
  std::optional<Result<void>> outcome;
  supervisor_->start([&](Result<void> started) { outcome = std::move(started); });
  ASSERT_TRUE(run_until([&] { return tap_->refusals() >= 3; }));
  EXPECT_FALSE(outcome);
  EXPECT_EQ(supervisor_->state(), State::reconnecting);
  EXPECT_TRUE(reason_);
  tap_->refuse(false);
  ASSERT_TRUE(run_until([&] { return outcome.has_value(); }));
  EXPECT_TRUE(*outcome);
  EXPECT_EQ(states_.back(), State::online);
}

TEST_F(SupervisorTest, KeepsTryingUntilARefusalThatStays) {
  auto options = usual_options();
  options.keep_trying = true;
  make_supervisor(std::move(options));
  tap_->refuse(true);
  std::optional<Result<void>> outcome;
  supervisor_->start([&](Result<void> started) { outcome = std::move(started); });
  ASSERT_TRUE(run_until([&] { return supervisor_->state() == State::reconnecting; }));
  bad_login_ = Error{ErrorCode::authentication_failed, "no"};
  ASSERT_TRUE(run_until([&] { return outcome.has_value(); }));
  EXPECT_EQ(outcome->error().code, ErrorCode::authentication_failed);
  EXPECT_EQ(supervisor_->state(), State::failed);
}

TEST_F(SupervisorTest, ADoubtedServerGetsASecondConnectionAndKeepsItsFlows) {
  constexpr uint64_t kBytes = 8 << 20;
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{1, kBytes, 0, 0}; });
  ASSERT_TRUE(start());
  auto old = open_flow(target.target(), {0, 0, 1, kBytes});
  old->read_up_to(1000);
  sshd_->signal_connections(SIGSTOP);
  supervisor_->network_changed();
  ASSERT_TRUE(run_until([&] { return supervisor_->counters().logins == 2; }));
  EXPECT_EQ(supervisor_->state(), State::online);
  const auto young = open_flow(target.target(), {0, 0, 1, kBytes});
  EXPECT_TRUE(run_until([&] { return young->received_all(); }));
  sshd_->signal(SIGCONT);
  old->read_up_to(UINT64_MAX);
  EXPECT_TRUE(run_until([&] { return old->received_all(); }));
  EXPECT_TRUE(old->intact() && young->intact());
  EXPECT_EQ(supervisor_->counters().losses, 0U);
  old.reset();
  EXPECT_TRUE(run_until([&] { return supervisor_->load().channels <= 1; }));
}

TEST_F(SupervisorTest, AServerThatAnswersAgainIsNotReplaced) {
  ASSERT_TRUE(start());
  tap_->refuse(true);
  sshd_->signal_connections(SIGSTOP);
  supervisor_->network_changed();
  ASSERT_TRUE(run_until([&] { return tap_->refusals() >= 1; }));
  EXPECT_FALSE(supervisor_->sound());
  sshd_->signal(SIGCONT);
  EXPECT_TRUE(run_until([&] { return supervisor_->sound(); }));
  EXPECT_EQ(states_.back(), State::online);
  EXPECT_EQ(tap_->connections(), 1U);
}

TEST_F(SupervisorTest, AFrozenServerIsNoticedByUnansweredProbes) {
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{}; });
  auto options = usual_options();
  options.keepalive = 100ms;
  make_supervisor(std::move(options));
  ASSERT_TRUE(start());
  const auto flow = open_flow(target.target(), {});
  sshd_->signal(SIGSTOP);
  ASSERT_TRUE(run_until([&] { return supervisor_->state() == State::reconnecting; }));
  EXPECT_EQ(reason_, ErrorCode::timed_out);
  EXPECT_TRUE(run_until([&] { return flow->error() != nullptr; }));
  sshd_->signal(SIGCONT);
  EXPECT_FALSE(connect(target.target()));
}

TEST_F(SupervisorTest, TheFirstFlowEndsTheLongPausesBetweenProbes) {
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{}; });
  auto options = usual_options();
  options.keepalive = 1s;
  make_supervisor(std::move(options));
  ASSERT_TRUE(start());
  const auto flow = open_flow(target.target(), {});
  sshd_->signal_connections(SIGSTOP);
  // Without flows the first probe would come after twelve seconds.
  EXPECT_TRUE(run_until([&] { return !supervisor_->sound(); }, 9s));
}

TEST_F(SupervisorTest, AFlowAfterASuspendMakesItProbeAtOnce) {
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{}; });
  ASSERT_TRUE(start());
  sshd_->signal_connections(SIGSTOP);
  asleep_ += 1h;
  EXPECT_FALSE(connect(target.target()));  // with the keepalive of this test: after a minute
  EXPECT_EQ(supervisor_->counters().logins, 2U);
}

TEST_F(SupervisorTest, AnOpenThatTheLostSessionDidNotAnswerGoesToTheNext) {
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{}; });
  ASSERT_TRUE(start());
  sshd_->signal_connections(SIGSTOP);
  std::optional<bool> connected;
  attempt_ =
      supervisor_->connect(target.target(), [&](auto stream) { connected = stream.has_value(); });
  tap_->cut();
  ASSERT_TRUE(run_until([&] { return connected.has_value(); }));
  EXPECT_TRUE(*connected);
  EXPECT_EQ(supervisor_->counters().losses, 1U);
}

TEST_F(SupervisorTest, StoppingEndsEverythingAndItMayStartAgain) {
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{}; });
  ASSERT_TRUE(start());
  auto flow = open_flow(target.target(), {});
  std::optional<ErrorCode> outcome;
  sshd_->signal_connections(SIGSTOP);
  attempt_ =
      supervisor_->connect(target.target(), [&](auto stream) { outcome = stream.error().code; });
  supervisor_->stop();
  EXPECT_EQ(supervisor_->state(), State::stopped);
  EXPECT_TRUE(run_until([&] { return outcome && flow->error() != nullptr; }));
  EXPECT_EQ(outcome, ErrorCode::host_unreachable);
  EXPECT_EQ(connect(target.target()), ErrorCode::host_unreachable);
  sshd_->signal(SIGCONT);
  ASSERT_TRUE(start());
  EXPECT_FALSE(connect(target.target()));
}

TEST_F(SupervisorTest, StoppingWhileItConnectsTellsWhoWaits) {
  tap_->refuse(false);
  std::optional<ErrorCode> outcome;
  supervisor_->start([&](Result<void> started) { outcome = started.error().code; });
  ASSERT_TRUE(run_until([&] { return supervisor_->state() == State::authenticating; }));
  supervisor_->stop();
  ASSERT_TRUE(run_until([&] { return outcome.has_value(); }));
  EXPECT_EQ(outcome, ErrorCode::cancelled);
}

TEST_F(SupervisorTest, AServerThatTurnsItAwayIsLeftAlone) {
  ASSERT_TRUE(start());
  tap_->refuse(true, "Not allowed at this time\r\n");
  tap_->cut();
  ASSERT_TRUE(run_until([&] { return tap_->refusals() == 1; }));
  // With the pauses of this test it would have tried many times by now, and at a change at once.
  const auto until = std::chrono::steady_clock::now() + 1s;
  run_until([&] {
    supervisor_->network_changed();
    return std::chrono::steady_clock::now() > until;
  });
  EXPECT_LE(tap_->refusals(), 2U);  // the second one is due after four seconds
}

TEST_F(SupervisorTest, ManyReconnectsLeaveNoDescriptorBehind) {
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  ASSERT_TRUE(start());
  ptrdiff_t before = 0;
  for (uint64_t n = 1; n <= 20; ++n) {
    tap_->cut();
    ASSERT_TRUE(run_until([&] { return supervisor_->counters().logins == n + 1; }));
    if (n == 2) before = descriptors();
  }
  EXPECT_TRUE(run_until([&] { return descriptors() <= before; }, 60s)) << descriptors() - before;
}

}  // namespace
}  // namespace tunproxy::testing
