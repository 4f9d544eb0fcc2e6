// What a Supervisor does while there is no session, or while it is told to rest.
#include <signal.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/io/direct_proxy.h"
#include "tests/support/key_login.h"
#include "tests/unit/ssh/supervisor_fixture.h"

namespace tunproxy::testing {
namespace {

using State = ssh::Supervisor::State;

// A login in which the user, or his agent, takes his time.
class SlowLogin final : public ssh::Login {
 public:
  /// `under_way` is told while something takes its time here.
  SlowLogin(const Sshd& sshd, Duration takes, std::atomic<bool>* under_way = nullptr)
      : login_(sshd.user(), sshd.identity()), takes_(takes), under_way_(under_way) {}
  std::string host_key_algorithms() override { return login_.host_key_algorithms(); }
  Result<void> check_host_key(const ssh::HostKey& key) override {
    if (under_way_ != nullptr) *under_way_ = true;
    std::this_thread::sleep_for(takes_);
    if (under_way_ != nullptr) *under_way_ = false;
    return login_.check_host_key(key);
  }
  Result<bool> authenticate(_LIBSSH2_SESSION* session) override {
    return login_.authenticate(session);
  }
  bool waits_for_user() const override { return false; }
  void cancel() override {}

 private:
  KeyLogin login_;
  const Duration takes_;
  std::atomic<bool>* under_way_;
};

// Leads to the server, or nowhere: a proxy that takes connections and is silent.
class SometimesSilentWay final : public net::Proxy {
 public:
  explicit SometimesSilentWay(io::Loop& loop) : direct_(loop, {}) {}
  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override {
    ++asked;
    if (silent) return std::make_unique<Waiting>();
    return direct_.connect(target, std::move(done));
  }
  std::unique_ptr<net::Attempt> bind(const net::Expected&, net::OnBound,
                                     net::Done<net::Accepted>) override {
    return nullptr;
  }

  bool silent = false;
  size_t asked = 0;

 private:
  class Waiting final : public net::Attempt {};
  io::DirectProxy direct_;
};

class SupervisorWaitTest : public SupervisorTest {
 protected:
  void pass(Duration time) {
    const Instant until = loop_.now() + time;
    ASSERT_TRUE(run_until([&] { return loop_.now() >= until; }));
  }
  void lose_the_server() {
    tap_->refuse(true);
    tap_->cut();
    ASSERT_TRUE(run_until([&] { return supervisor_->state() == State::reconnecting; }));
  }

  FlowTarget target_{loop_, [](size_t) { return Flow::Plan{}; }};
};

TEST_F(SupervisorWaitTest, AFlowWaitsForASessionForABoundedTime) {
  auto options = usual_options();
  options.wait_for_session = 100ms;
  make_supervisor(std::move(options));
  ASSERT_TRUE(start());
  lose_the_server();
  EXPECT_EQ(connect(target_.target()), ErrorCode::host_unreachable);
  EXPECT_EQ(supervisor_->state(), State::reconnecting);
}

TEST_F(SupervisorWaitTest, SessionsThatKeepDyingDoNotMakeItWaitForEver) {
  auto options = usual_options();
  options.wait_for_session = 1s;
  make_supervisor(std::move(options));
  ASSERT_TRUE(start());
  lose_the_server();
  tap_->refuse(false);
  std::optional<bool> connected;
  attempt_ =
      supervisor_->connect(target_.target(), [&](auto stream) { connected = stream.has_value(); });
  // Each new session takes the flow, and dies before it opened.
  uint64_t logins = supervisor_->counters().logins;
  ASSERT_TRUE(run_until([&] {
    if (std::exchange(logins, supervisor_->counters().logins) != logins) {
      sshd_->signal_connections(SIGSTOP);
      tap_->cut();
      sshd_->signal_connections(SIGCONT);
    }
    return connected.has_value();
  }));
  EXPECT_FALSE(*connected);
}

TEST_F(SupervisorWaitTest, AWayThatIsSilentIsBegunAnew) {
  SometimesSilentWay way(loop_);
  auto options = usual_options();
  options.way = &way;
  make_supervisor(std::move(options));
  ASSERT_TRUE(start());
  way.silent = true;
  tap_->cut();
  ASSERT_TRUE(run_until([&] { return way.asked == 2; }));
  way.silent = false;
  EXPECT_TRUE(run_until([&] { return supervisor_->state() == State::online; }));
  EXPECT_EQ(way.asked, 3U);
  supervisor_.reset();
}

TEST_F(SupervisorWaitTest, OnlySoManyFlowsWait) {
  ASSERT_TRUE(start());
  lose_the_server();
  std::vector<std::unique_ptr<net::Attempt>> waiting;
  size_t served = 0;
  for (size_t n = 0; n < ssh::Supervisor::kMaxWaiting; ++n) {
    waiting.push_back(supervisor_->connect(target_.target(), [&](auto stream) {
      ASSERT_TRUE(stream) << stream.error().message;
      ++served;
    }));
  }
  EXPECT_EQ(connect(target_.target()), ErrorCode::host_unreachable);
  EXPECT_EQ(served, 0U);
  tap_->refuse(false);
  EXPECT_TRUE(run_until([&] { return served == waiting.size(); }));
}

TEST_F(SupervisorWaitTest, WhileItIsPausedALostConnectionIsMadeAnewForAFlowOnly) {
  ASSERT_TRUE(start());
  supervisor_->pause();
  tap_->cut();
  ASSERT_TRUE(run_until([&] { return supervisor_->state() == State::reconnecting; }));
  supervisor_->network_changed();
  pass(300ms);  // thirty times its pauses
  EXPECT_EQ(tap_->connections(), 1U);
  EXPECT_FALSE(connect(target_.target()));
  EXPECT_EQ(tap_->connections(), 2U);

  lose_the_server();
  const size_t before = tap_->refusals();
  attempt_ = supervisor_->connect(target_.target(), [](auto) { FAIL(); });
  ASSERT_TRUE(run_until([&] { return tap_->refusals() == before + 1; }));
  pass(300ms);
  EXPECT_EQ(tap_->refusals(), before + 1) << "once for a flow";
  attempt_.reset();
  tap_->refuse(false);
  supervisor_->wake();
  EXPECT_TRUE(run_until([&] { return supervisor_->state() == State::online; }));
}

TEST_F(SupervisorWaitTest, WhileItIsPausedAFrozenServerIsNotGivenUp) {
  auto options = usual_options();
  options.keepalive = 100ms;
  make_supervisor(std::move(options));
  ASSERT_TRUE(start());
  const auto flow = open_flow(target_.target(), {});
  sshd_->signal_connections(SIGSTOP);
  supervisor_->pause();
  pass(1s);
  EXPECT_TRUE(supervisor_->sound());
  supervisor_->wake();
  EXPECT_TRUE(run_until([&] { return flow->error() != nullptr; }));
}

TEST_F(SupervisorWaitTest, ChangesOfTheNetworkDoNotDisturbALoginThatIsGoingOn) {
  std::atomic<bool> under_way = false;
  auto options = usual_options();
  options.make_login = [&]() -> Result<std::unique_ptr<ssh::Login>> {
    return std::unique_ptr<ssh::Login>(std::make_unique<SlowLogin>(*sshd_, 2s, &under_way));
  };
  make_supervisor(std::move(options));
  ASSERT_TRUE(start());
  tap_->cut();
  ASSERT_TRUE(run_until([&] { return supervisor_->state() == State::reconnecting; }));
  ASSERT_TRUE(run_until([&] {
    if (under_way) supervisor_->network_changed();
    return supervisor_->state() == State::online;
  }));
  EXPECT_EQ(tap_->connections(), 2U);
}

TEST_F(SupervisorWaitTest, AChangeOfTheNetworkEndsALoginThatHearsNothing) {
  ASSERT_TRUE(start());
  sshd_->signal(SIGSTOP);
  tap_->cut();
  ASSERT_TRUE(run_until([&] { return tap_->connections() == 2; }));
  supervisor_->network_changed();
  ASSERT_TRUE(run_until([&] { return tap_->connections() == 3; }, 12s));  // and not by its time-out
  sshd_->signal(SIGCONT);
  EXPECT_TRUE(run_until([&] { return supervisor_->state() == State::online; }));
}

TEST_F(SupervisorWaitTest, AFormerSessionStaysForAPortAtWhichItListens) {
  ASSERT_TRUE(start());
  std::optional<bool> bound;
  const auto bind = supervisor_->bind(
      {Target::from_host("127.0.0.1", 21)}, [&](const Endpoint&) { bound = true; },
      [&](const Result<net::Accepted>&) { bound = false; });
  ASSERT_TRUE(run_until([&] { return bound.has_value(); }));
  sshd_->signal_connections(SIGSTOP);
  supervisor_->network_changed();
  ASSERT_TRUE(run_until([&] { return supervisor_->counters().logins == 2; }));
  sshd_->signal(SIGCONT);
  pass(2500ms);  // former sessions are looked at each second
  EXPECT_TRUE(*bound);
  EXPECT_EQ(supervisor_->load().listening, 1U);
}

}  // namespace
}  // namespace tunproxy::testing
