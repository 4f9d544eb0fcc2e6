// DirectProxy::bind(): one connection to this machine, from the address that is expected.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/io/direct_proxy.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::testing {
namespace {

class DirectBindTest : public ::testing::Test {
 protected:
  Target from(const char* host) { return Target::from_host(host, 21); }

  // Listens for `peer`; the address is in bound_ when it returns.
  void bind(const Target& peer, std::function<bool(const IpAddress&)> may_come = nullptr) {
    attempt_ = proxy_.bind(
        {peer, std::move(may_come)}, [this](const Endpoint& at) { bound_ = at; },
        [this](Result<net::Accepted> outcome) { outcome_ = std::move(outcome); });
    ASSERT_NE(attempt_, nullptr);
    ASSERT_FALSE(bound_ || outcome_) << "only from the loop";
    ASSERT_TRUE(run_until(loop_, [&] { return bound_ || outcome_; }));
  }

  std::unique_ptr<net::Stream> knock(const char* host = "127.0.0.1") {
    std::unique_ptr<net::Stream> stream;
    const auto attempt = proxy_.connect(Target::from_host(host, bound_->port), [&](auto result) {
      ASSERT_TRUE(result) << result.error().message;
      stream = std::move(*result);
    });
    EXPECT_TRUE(run_until(loop_, [&] { return stream != nullptr; }));
    return stream;
  }

  io::Loop loop_;
  io::DirectProxy proxy_{loop_, {}};
  std::optional<Endpoint> bound_;
  std::optional<Result<net::Accepted>> outcome_;
  std::unique_ptr<net::Attempt> attempt_;
};

TEST_F(DirectBindTest, TakesTheExpectedPeerAndNobodyAfterIt) {
  bind(from("127.0.0.1"));
  ASSERT_TRUE(bound_);
  EXPECT_EQ(bound_->address.to_string(), "127.0.0.1");  // the side on which the peer is
  EXPECT_NE(bound_->port, 0);
  const auto client = knock();
  ASSERT_TRUE(run_until(loop_, [&] { return outcome_.has_value(); }));
  ASSERT_TRUE(*outcome_) << outcome_->error().message;
  EXPECT_EQ((*outcome_)->peer.address.to_string(), "127.0.0.1");
  ASSERT_EQ((*outcome_)->stream->write(as_bytes("hello")), 5u);
  std::string got;
  client->on_progress([&] {
    got += as_text(client->peek());
    client->consume(client->peek().size());
  });
  EXPECT_TRUE(run_until(loop_, [&] { return got == "hello"; }));

  std::optional<ErrorCode> second;
  const auto attempt = proxy_.connect(Target(*bound_), [&](auto result) {
    second = result ? ErrorCode::general : result.error().code;
  });
  ASSERT_TRUE(run_until(loop_, [&] { return second.has_value(); }));
  EXPECT_EQ(*second, ErrorCode::refused);
}

TEST_F(DirectBindTest, AnybodyMayComeWhereNobodyIsExpected) {
  bind(from("0.0.0.0"));
  ASSERT_TRUE(bound_);
  EXPECT_TRUE(bound_->address.is_any());
  const auto client = knock();
  EXPECT_TRUE(run_until(loop_, [&] { return outcome_ && *outcome_; }));
}

TEST_F(DirectBindTest, AStrangerIsTurnedAwayAndTheWaitGoesOn) {
  bind(from("127.0.0.2"));
  ASSERT_TRUE(bound_);
  for (int i = 0; i < 3; ++i) {  // from 127.0.0.1; the reset may come while it connects
    bool turned_away = false;
    std::unique_ptr<net::Stream> stranger;
    const auto attempt = proxy_.connect(Target(*bound_), [&](auto result) {
      if (!result) return void(turned_away = true);
      stranger = std::move(*result);
      stranger->on_progress([&] { turned_away = stranger->error() != nullptr; });
    });
    ASSERT_TRUE(run_until(loop_, [&] { return turned_away; }));
  }
  EXPECT_FALSE(outcome_);
}

TEST_F(DirectBindTest, WhoMayComeIsAskedIfSomebodyKnows) {
  int asked = 0;
  bind(from("0.0.0.0"), [&](const IpAddress& peer) {
    EXPECT_EQ(peer.to_string(), "127.0.0.1");
    return ++asked > 2;
  });
  std::vector<std::unique_ptr<net::Attempt>> knocking;
  while (asked < 3) {
    const int before = asked;
    knocking.push_back(proxy_.connect(Target(*bound_), [](auto) {}));
    ASSERT_TRUE(run_until(loop_, [&] { return asked > before; }));
    EXPECT_EQ(outcome_.has_value(), asked == 3);
  }
  EXPECT_TRUE(*outcome_);
}

TEST_F(DirectBindTest, ANameIsLookedUp) {
  bind(from("localhost"));
  ASSERT_TRUE(bound_);
  EXPECT_TRUE(bound_->address.is_loopback());
  bound_.reset();
  bind(from("no..such"));
  ASSERT_TRUE(outcome_);
  EXPECT_FALSE(*outcome_);
  EXPECT_FALSE(bound_);
}

TEST_F(DirectBindTest, DestroyedItListensNoMore) {
  bind(from("127.0.0.1"));
  attempt_.reset();
  std::optional<ErrorCode> code;
  const auto attempt = proxy_.connect(Target(*bound_), [&](auto result) {
    code = result ? ErrorCode::general : result.error().code;
  });
  ASSERT_TRUE(run_until(loop_, [&] { return code.has_value(); }));
  EXPECT_EQ(*code, ErrorCode::refused);
}

TEST_F(DirectBindTest, ASocketThatMayNotBePreparedIsAnError) {
  io::DialOptions options;
  options.prepare = [](int) -> Result<void> { return Error{ErrorCode::no_permission, "no"}; };
  io::DirectProxy proxy(loop_, options);
  const auto attempt = proxy.bind(
      {from("127.0.0.1")}, [](const Endpoint&) { FAIL(); },
      [this](Result<net::Accepted> outcome) { outcome_ = std::move(outcome); });
  ASSERT_TRUE(run_until(loop_, [&] { return outcome_.has_value(); }));
  EXPECT_EQ(outcome_->error().code, ErrorCode::no_permission);
}

}  // namespace
}  // namespace tunproxy::testing
