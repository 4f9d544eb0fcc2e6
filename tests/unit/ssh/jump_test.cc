#include "core/ssh/jump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "tests/unit/ssh/session_fixture.h"

namespace tunproxy {
namespace {

using ::testing::ElementsAre;
using testing::Flow;
using testing::FlowTarget;
using ::testing::HasSubstr;
using testing::Sshd;

/// Two jump hosts; the flows go from the second.
class JumpTest : public testing::SessionTest {
 protected:
  void SetUp() override { sshds_.resize(2); }
  void TearDown() override {
    attempt_.reset();
    chain_.reset();
  }

  void make(const std::string& first = "", const std::string& second = "") {
    sshds_[0] = std::make_unique<Sshd>(first);
    sshds_[1] = std::make_unique<Sshd>(second);
    std::vector<ssh::JumpHop> hops(2);
    for (size_t i = 0; i < hops.size(); ++i) {
      hops[i].name = i == 0 ? "first" : "second";
      hops[i].options.server = Target::from_host("127.0.0.1", sshds_[i]->port());
      hops[i].options.first_pause = 10ms;
      hops[i].options.longest_pause = 50ms;
      hops[i].options.wait_for_session = 60s;
      hops[i].options.make_login = [this, i]() -> Result<std::unique_ptr<ssh::Login>> {
        asked_.push_back(i);
        if (bad_login_ && bad_login_->first == i) return bad_login_->second;
        return login(*sshds_[i]);
      };
    }
    chain_ = std::make_unique<ssh::JumpChain>(loop_, std::move(hops));
    chain_->on_failed([this](const Error& error) { failed_ = error; });
  }

  Result<void> start() {
    std::optional<Result<void>> outcome;
    chain_->start([&](Result<void> started) { outcome = std::move(started); });
    EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
    return *outcome;
  }

  Result<void> connect(const Target& target) {
    std::optional<Result<void>> outcome;
    attempt_ = chain_->way().connect(target, [&](auto stream) {
      outcome = stream ? Result<void>() : Result<void>(stream.error());
    });
    EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
    return *outcome;
  }

  std::vector<std::unique_ptr<Sshd>> sshds_;
  std::unique_ptr<ssh::JumpChain> chain_;
  std::unique_ptr<net::Attempt> attempt_;
  std::vector<size_t> asked_;  // the hops whose login was made
  std::optional<std::pair<size_t, Error>> bad_login_;
  std::optional<Error> failed_;
};

TEST_F(JumpTest, LeadsThroughEachHopInTurn) {
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{}; });
  make();
  const auto started = start();
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_THAT(asked_, ElementsAre(0, 1));
  EXPECT_TRUE(connect(target.target()));
}

TEST_F(JumpTest, WhatIsUrgentDoesNotCountAsBulk) {
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{}; });
  make();
  ASSERT_TRUE(start());
  std::vector<std::unique_ptr<net::Stream>> streams;
  std::vector<std::unique_ptr<net::Attempt>> attempts;
  for (net::Proxy* way : {&chain_->way(), &chain_->urgent_way()}) {
    attempts.push_back(way->connect(target.target(), [&](auto stream) {
      ASSERT_TRUE(stream);
      streams.push_back(std::move(*stream));
    }));
  }
  ASSERT_TRUE(run_until([&] { return streams.size() == 2; }));
  EXPECT_EQ(chain_->load().channels, 2U);
  EXPECT_EQ(chain_->load().bulk, 1U);
}

TEST_F(JumpTest, AHopThatIsNotThereIsNamed) {
  make();
  sshds_[1]->kill();
  const auto started = start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::server_unreachable);
  EXPECT_THAT(started.error().message, HasSubstr("the jump host second: cannot reach"));
  EXPECT_THAT(started.error().message, HasSubstr("through the jump host first: "));
}

TEST_F(JumpTest, ARefusedLoginNamesItsHop) {
  make();
  bad_login_ = {1, {ErrorCode::host_key_refused, "the key changed"}};
  const auto started = start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::host_key_refused);
  EXPECT_EQ(started.error().message, "the jump host second: the key changed");
}

TEST_F(JumpTest, TheFirstHopsFailureAsksNobodyElse) {
  make();
  bad_login_ = {0, {ErrorCode::authentication_failed, "no"}};
  ASSERT_FALSE(start());
  EXPECT_THAT(asked_, ElementsAre(0));
  EXPECT_FALSE(failed_) << "start() tells";
}

TEST_F(JumpTest, AHopThatForbidsForwardingIsNamed) {
  make("AllowTcpForwarding no");
  const auto started = start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("through the jump host first: "));
}

TEST_F(JumpTest, TargetsErrorsKeepTheirCode) {
  make();
  ASSERT_TRUE(start());
  const auto outcome = connect(*Target::parse("127.0.0.1:1"));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::refused);
  EXPECT_THAT(outcome.error().message, HasSubstr("through the jump host second: "));
}

TEST_F(JumpTest, ComesBackWhenAHopIsLost) {
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{}; });
  for (const size_t lost : {0U, 1U}) {
    make();
    ASSERT_TRUE(start());
    sshds_[lost]->restart();
    ASSERT_TRUE(run_until([&] { return asked_.size() > 2; }));
    EXPECT_TRUE(connect(target.target()));
    EXPECT_FALSE(failed_);
    TearDown();
    asked_.clear();
  }
}

TEST_F(JumpTest, AHopThatRefusesForGoodEndsIt) {
  make();
  ASSERT_TRUE(start());
  bad_login_ = {0, {ErrorCode::host_key_refused, "the key changed"}};
  sshds_[0]->kill();
  ASSERT_TRUE(run_until([&] { return failed_.has_value(); }));
  EXPECT_EQ(failed_->code, ErrorCode::host_key_refused);
  EXPECT_EQ(failed_->message, "the jump host first: the key changed");
}

}  // namespace
}  // namespace tunproxy
