// The connection of datagrams beside the shared one, both to a real sshd, each through a tap; the
// helper is the real one.
#include "core/datagram_lane.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>

#include "tests/unit/ssh/session_fixture.h"
#include "tests/unit/ssh/tap.h"

namespace tunproxy::testing {
namespace {

class DatagramLaneTest : public SessionTest {
 protected:
  void SetUp() override {
    start_sshd();
    shared_tap_ = std::make_unique<Tap>(loop_, sshd_->port());
    own_tap_ = std::make_unique<Tap>(loop_, sshd_->port());
    ssh::PoolOptions options;
    options.session = connection(*shared_tap_);
    options.session.make_login = [this]() -> Result<std::unique_ptr<ssh::Login>> {
      return login(*sshd_);
    };
    pool_ = std::make_unique<ssh::Pool>(loop_, options);
    pool_->on_state([this](auto, const Error*) {
      if (lane_) lane_->shared_changed();
    });
  }
  void TearDown() override {
    waiting_.reset();
    session_.reset();
    lane_.reset();
    pool_.reset();
  }

  static ssh::SupervisorOptions connection(const Tap& tap) {
    ssh::SupervisorOptions options;
    options.server = tap.address();
    options.first_pause = 10ms;
    options.longest_pause = 50ms;
    options.wait_for_session = 60s;
    options.keepalive = 60s;
    return options;
  }

  /// Both, in this order.
  void start() {
    bool online = false;
    pool_->start([&](Result<void> outcome) { online = outcome.has_value(); });
    ASSERT_TRUE(run_until([&] { return online; }));
    ssh::SupervisorOptions own = connection(*own_tap_);
    own.make_login = [this]() -> Result<std::unique_ptr<ssh::Login>> {
      ++own_logins_;
      if (own_refusal_) return *own_refusal_;
      return login(*sshd_);
    };
    udp::CarrierOptions carrier;
    carrier.udpgw = false;
    carrier.probe_timeout = 20s;
    lane_ = std::make_unique<DatagramLane>(loop_, *pool_, own, carrier, options_);
    lane_->start();
  }
  /// A helper is in use, and it is not `former`.
  std::shared_ptr<udp::RelayClient> next(const std::shared_ptr<udp::RelayClient>& former = {}) {
    const bool came = run_until([&] {
      const auto relay = lane_->carrier().relay();
      return relay != nullptr && relay != former;
    });
    EXPECT_TRUE(came);
    return lane_->carrier().relay();
  }
  void associate() {
    waiting_ = lane_->carrier().associate([](const Endpoint&, Bytes) {}, [](const Error&) {},
                                          [this](auto result) {
                                            if (result) {
                                              session_ = *std::move(result);
                                            } else {
                                              refusal_ = result.error();
                                            }
                                          });
  }
  void pass(Duration time) {
    const Instant until = loop_.now() + time;
    ASSERT_TRUE(run_until([&] { return loop_.now() >= until; }));
  }
  void expect_no_try() {
    pass(100ms);  // one that may be under way ends
    const size_t refusals = own_tap_->refusals();
    pass(400ms);
    EXPECT_EQ(own_tap_->refusals(), refusals);
  }
  /// The helper in use is that of their own connection: it does not mind what becomes of the other.
  void expect_own(const std::shared_ptr<udp::RelayClient>& relay) {
    shared_tap_->cut();
    const uint64_t logins = pool_->status().logins;
    ASSERT_TRUE(run_until([&] { return pool_->status().logins > logins; }));
    EXPECT_EQ(lane_->carrier().relay(), relay);
  }

  LaneOptions options_{.patience = 20s, .first_pause = 10ms, .longest_pause = 40ms};
  std::unique_ptr<Tap> shared_tap_;
  std::unique_ptr<Tap> own_tap_;
  std::unique_ptr<ssh::Pool> pool_;
  std::optional<Error> own_refusal_;
  size_t own_logins_ = 0;
  std::unique_ptr<DatagramLane> lane_;
  std::unique_ptr<net::Attempt> waiting_;
  std::unique_ptr<net::DatagramSession> session_;
  std::optional<Error> refusal_;
};

TEST_F(DatagramLaneTest, TheirOwnConnectionCarries) {
  start();
  const auto relay = next();
  expect_own(relay);
  EXPECT_EQ(own_logins_, 1U);
}

TEST_F(DatagramLaneTest, ARefusedLoginIsNotTriedAgain) {
  own_refusal_ = Error(ErrorCode::authentication_failed, "it wants a code");
  start();
  const auto relay = next();
  pass(200ms);
  EXPECT_EQ(own_logins_, 1U);
  shared_tap_->cut();
  next(relay);
}

TEST_F(DatagramLaneTest, AConnectionThatCannotBeMadeIsTriedAgain) {
  own_tap_->refuse(true);
  start();
  const auto shared = next();
  associate();
  ASSERT_TRUE(run_until([&] { return session_ != nullptr && own_tap_->refusals() >= 3; }));
  EXPECT_EQ(lane_->carrier().relay(), shared);
  own_tap_->refuse(false);
  const auto own = next(shared);
  expect_own(own);
}

TEST_F(DatagramLaneTest, WhilePausedItIsNotTriedAgain) {
  options_.first_pause = options_.longest_pause = 200ms;
  own_tap_->refuse(true);
  start();
  const auto shared = next();
  ASSERT_TRUE(run_until([&] { return own_tap_->refusals() >= 1; }));
  lane_->pause();
  expect_no_try();
  own_tap_->refuse(false);
  lane_->wake();
  next(shared);
}

TEST_F(DatagramLaneTest, ATryThatFailsInAPauseIsTheLast) {
  own_tap_->refuse(true);
  start();
  lane_->pause();
  const auto shared = next();
  EXPECT_GE(own_tap_->refusals(), 1U);
  expect_no_try();
  own_tap_->refuse(false);
  lane_->wake();
  expect_own(next(shared));
}

TEST_F(DatagramLaneTest, TheSharedOneServesWhileTheOtherIsLost) {
  start();
  const auto first = next();
  own_tap_->refuse(true);
  own_tap_->cut();
  const auto shared = next(first);
  EXPECT_TRUE(run_until([&] { return own_tap_->refusals() >= 1; }));
  EXPECT_EQ(lane_->carrier().relay(), shared);
  own_tap_->refuse(false);
  expect_own(next(shared));
}

TEST_F(DatagramLaneTest, DatagramsWaitWhileThereIsNone) {
  start();
  const auto first = next();
  for (Tap* tap : {own_tap_.get(), shared_tap_.get()}) {
    tap->refuse(true);
    tap->cut();
  }
  ASSERT_TRUE(run_until([&] { return own_tap_->refusals() > 2 && shared_tap_->refusals() > 2; }));
  EXPECT_EQ(lane_->carrier().relay(), nullptr);
  associate();
  pass(100ms);
  EXPECT_FALSE(session_ || refusal_);
  for (Tap* tap : {own_tap_.get(), shared_tap_.get()}) tap->refuse(false);
  EXPECT_TRUE(run_until([&] { return session_ != nullptr; }));
}

}  // namespace
}  // namespace tunproxy::testing
