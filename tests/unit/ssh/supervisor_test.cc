#include "core/ssh/supervisor.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/net/relay.h"
#include "tests/unit/ssh/session_fixture.h"

namespace tunproxy {
namespace {

using testing::Flow;
using testing::FlowTarget;
using State = ssh::Supervisor::State;

/// A tap on the way to the sshd: it can cut every connection, and refuse new ones.
class Tap {
 public:
  Tap(io::Loop& loop, uint16_t to) : loop_(loop), to_({*IpAddress::parse("127.0.0.1"), to}) {
    listener_ = std::move(*io::TcpListener::listen(
        loop, {*IpAddress::parse("127.0.0.1"), 0},
        [this](std::unique_ptr<io::TcpStream> client) { forward(std::move(client)); }));
  }

  Target address() const { return Target(listener_->local()); }
  size_t connections() const { return taken_; }
  size_t refusals() const { return refused_; }
  void refuse(bool on) { refusing_ = on; }
  void cut() { relays_.clear(); }

 private:
  void forward(std::unique_ptr<io::TcpStream> client) {
    if (refusing_) {
      ++refused_;
      return;
    }
    ++taken_;
    waiting_.push_back(std::move(client));
    dials_.push_back(
        io::dial(loop_, Target(to_), {}, [this, at = waiting_.size() - 1](auto server) {
          relays_.push_back(std::make_unique<net::Relay>(std::move(waiting_[at]),
                                                         std::move(*server), [](const Error*) {}));
        }));
  }

  io::Loop& loop_;
  Endpoint to_;
  size_t taken_ = 0;
  size_t refused_ = 0;
  bool refusing_ = false;
  std::vector<std::unique_ptr<io::TcpStream>> waiting_;
  std::vector<std::unique_ptr<net::Attempt>> dials_;
  std::vector<std::unique_ptr<net::Relay>> relays_;
  std::unique_ptr<io::TcpListener> listener_;
};

class SupervisorTest : public testing::SessionTest {
 protected:
  void SetUp() override {
    start_sshd();
    tap_ = std::make_unique<Tap>(loop_, sshd_->port());
    make_supervisor(tap_->address());
  }
  void TearDown() override {
    attempt_.reset();
    supervisor_.reset();
  }

  void make_supervisor(const Target& server) {
    ssh::SupervisorOptions options;
    options.server = server;
    options.first_pause = 10ms;
    options.longest_pause = 50ms;
    options.wait_for_session = 60s;
    options.make_login = [this]() -> Result<std::unique_ptr<ssh::Login>> {
      if (bad_login_) return *bad_login_;
      return login(*sshd_);
    };
    supervisor_ = std::make_unique<ssh::Supervisor>(loop_, std::move(options));
    supervisor_->on_state([this](State state, const Error* error) {
      states_.push_back(state);
      if (error != nullptr) reason_ = error->code;
    });
  }

  Result<void> start() {
    std::optional<Result<void>> outcome;
    supervisor_->start([&](Result<void> started) { outcome = std::move(started); });
    EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
    return *outcome;
  }

  /// What a connect to `target` ends with; the stream is closed again.
  std::optional<ErrorCode> connect(const Target& target) {
    std::optional<std::optional<ErrorCode>> outcome;
    attempt_ = supervisor_->connect(target, [&](auto stream) {
      outcome = stream ? std::nullopt : std::optional(stream.error().code);
    });
    EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
    return outcome.value_or(ErrorCode::general);
  }

  std::unique_ptr<Tap> tap_;
  std::unique_ptr<ssh::Supervisor> supervisor_;
  std::unique_ptr<net::Attempt> attempt_;
  std::optional<Error> bad_login_;
  std::vector<State> states_;
  std::optional<ErrorCode> reason_;
};

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
  ASSERT_TRUE(run_until([&] { return tap_->refusals() >= 3; }));
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
  tap_.reset();
  make_supervisor(closed);
  const auto started = start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::server_unreachable);
  EXPECT_NE(started.error().message.find(closed.to_string()), std::string::npos);
  EXPECT_EQ(supervisor_->state(), State::failed);
}

}  // namespace
}  // namespace tunproxy
