// From the banner to the first channel: what can go wrong there, and streams that give little at a
// time.
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "core/net/relay.h"
#include "tests/unit/ssh/session_fixture.h"

namespace tunproxy::testing {
namespace {

using Outcome = std::optional<Result<std::unique_ptr<ssh::Session>>>;

// Waits in authenticate() until cancelled.
class BlockingLogin final : public ssh::Login {
 public:
  struct Events {
    std::mutex mutex;
    std::condition_variable changed;
    bool blocked = false;
    bool cancelled = false;
    bool returned = false;
  };
  BlockingLogin(std::shared_ptr<Events> events, bool asks_user)
      : events_(std::move(events)), asks_user_(asks_user) {}

  std::string host_key_algorithms() override { return "ssh-ed25519"; }
  Result<void> check_host_key(const ssh::HostKey&) override { return {}; }
  Result<bool> authenticate(_LIBSSH2_SESSION*) override {
    std::unique_lock lock(events_->mutex);
    events_->blocked = true;
    events_->changed.wait(lock, [this] { return events_->cancelled; });
    events_->returned = true;
    return Error{ErrorCode::authentication_failed, "cancelled"};
  }
  bool waits_for_user() const override { return asks_user_; }
  void cancel() override {
    const std::lock_guard lock(events_->mutex);
    events_->cancelled = true;
    events_->changed.notify_all();
  }

 private:
  const std::shared_ptr<Events> events_;
  const bool asks_user_;
};

class RefusingLogin final : public ssh::Login {
 public:
  std::string host_key_algorithms() override { return "ssh-ed25519"; }
  Result<void> check_host_key(const ssh::HostKey&) override {
    return Error{ErrorCode::host_key_refused, "unknown"};
  }
  Result<bool> authenticate(_LIBSSH2_SESSION*) override { return true; }
  bool waits_for_user() const override { return false; }
  void cancel() override {}
};

class LoginPhaseTest : public SessionTest {
 protected:
  Outcome login_with(std::unique_ptr<net::Stream> stream, std::unique_ptr<ssh::Login> login,
                     ssh::SessionOptions options = {}) {
    Outcome outcome;
    const auto attempt = ssh::Session::open(loop_, std::move(stream), std::move(login), options,
                                            [&](auto result) { outcome = std::move(result); });
    EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
    return outcome;
  }
  // What a peer that says `text` and then nothing (or goes away) does to the login.
  ErrorCode code_against(const std::string& text, bool ends) {
    auto [near, far] = MemoryStream::make_pair(loop_);
    far->write(as_bytes(text));
    if (ends) far->finish();
    ssh::SessionOptions options;
    options.key_exchange_timeout = 1s;
    const auto outcome = login_with(std::move(near), std::make_unique<RefusingLogin>(), options);
    if (!outcome || *outcome) return ErrorCode::general;
    return outcome->error().code;
  }
};

TEST_F(LoginPhaseTest, HandshakeOverAStreamThatMovesAByteAtATime) {
  start_sshd();
  auto [near, far] = MemoryStream::make_pair(loop_, {1, 1, 64 * 1024});
  net::Relay relay(std::move(far), dial(), [](const Error*) {});
  auto outcome = login_with(std::move(near), login(*sshd_));
  ASSERT_TRUE(outcome && *outcome) << outcome->error().message;
  session_ = std::move(**outcome);
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{1, 20000, 2, 20000}; });
  auto stream = open(target.target());
  ASSERT_TRUE(stream) << stream.error().message;
  Flow flow(std::move(*stream), {2, 20000, 1, 20000});
  ASSERT_TRUE(run_until([&] { return flow.done(); }));
  EXPECT_TRUE(flow.intact());
  session_.reset();
}

TEST_F(LoginPhaseTest, WrongKeyFailsAuthentication) {
  start_sshd();
  const Sshd stranger;
  auto outcome = login_with(dial(), std::make_unique<KeyLogin>(sshd_->user(), stranger.identity()));
  ASSERT_TRUE(outcome && !*outcome);
  EXPECT_EQ(outcome->error().code, ErrorCode::authentication_failed);
}

TEST_F(LoginPhaseTest, RefusedHostKeyEndsTheAttempt) {
  start_sshd();
  auto outcome = login_with(dial(), std::make_unique<RefusingLogin>());
  ASSERT_TRUE(outcome && !*outcome);
  EXPECT_EQ(outcome->error().code, ErrorCode::host_key_refused);
}

TEST_F(LoginPhaseTest, NoCommonCipherIsAProtocolError) {
  start_sshd("Ciphers aes128-ctr");
  ssh::SessionOptions options;
  options.algorithms.ciphers = "aes256-ctr";
  auto outcome = login_with(dial(), login(*sshd_), options);
  ASSERT_TRUE(outcome && !*outcome);
  EXPECT_EQ(outcome->error().code, ErrorCode::protocol);
}

TEST_F(LoginPhaseTest, PeersThatAreNoSshServers) {
  EXPECT_EQ(code_against("", false), ErrorCode::timed_out);
  EXPECT_EQ(code_against("SSH-2.0-Silent\r\n", false), ErrorCode::timed_out);
  EXPECT_EQ(code_against("", true), ErrorCode::server_unreachable);
  EXPECT_EQ(code_against("SSH-2.0-Short\r\n", true), ErrorCode::server_unreachable);
  EXPECT_EQ(code_against("SSH-2.0-Bad\r\n" + std::string(100, '\xff'), false), ErrorCode::protocol);
}

TEST_F(LoginPhaseTest, DestroyingTheAttemptEndsABlockedStep) {
  start_sshd();
  const auto events = std::make_shared<BlockingLogin::Events>();
  auto attempt = ssh::Session::open(loop_, dial(), std::make_unique<BlockingLogin>(events, true),
                                    {}, [](auto) { FAIL() << "cancelled"; });
  ASSERT_TRUE(run_until([&] {
    const std::lock_guard lock(events->mutex);
    return events->blocked;
  }));
  attempt.reset();
  std::unique_lock lock(events->mutex);
  EXPECT_TRUE(events->changed.wait_for(lock, 10s, [&] { return events->cancelled; }));
}

TEST_F(LoginPhaseTest, AuthenticationTimesOut) {
  start_sshd();
  const auto events = std::make_shared<BlockingLogin::Events>();
  ssh::SessionOptions options;
  options.authentication_timeout = 1s;
  auto outcome = login_with(dial(), std::make_unique<BlockingLogin>(events, false), options);
  ASSERT_TRUE(outcome && !*outcome);
  EXPECT_EQ(outcome->error().code, ErrorCode::timed_out);
}

TEST_F(LoginPhaseTest, LostConnectionEndsAStepInWhichTheUserIsAsked) {
  start_sshd();
  const auto events = std::make_shared<BlockingLogin::Events>();
  Outcome outcome;
  const auto attempt =
      ssh::Session::open(loop_, dial(), std::make_unique<BlockingLogin>(events, true), {},
                         [&](auto result) { outcome = std::move(result); });
  ASSERT_TRUE(run_until([&] {
    const std::lock_guard lock(events->mutex);
    return events->blocked;
  }));
  sshd_->kill();
  ASSERT_TRUE(run_until([&] { return outcome.has_value(); }));
  EXPECT_FALSE(*outcome);
}

}  // namespace
}  // namespace tunproxy::testing
