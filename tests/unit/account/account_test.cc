#include "core/account/account.h"

#include <gtest/gtest.h>

#include "core/account/counted_stream.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::account {
namespace {

using testing::MemoryStream;

const Target kTarget = Target::from_host("example.org", 443);

class AccountTest : public ::testing::Test {
 protected:
  Account::Entry begin(Source source = Source::socks, Command command = Command::connect) {
    return account_.begin(source, command, kTarget, "alice");
  }
  // An open flow by way of `way`, over one end of a pair whose other end is `far_`.
  std::unique_ptr<CountedStream> open(rules::Action way = rules::Action::tunnel) {
    auto [near, far] = MemoryStream::make_pair(loop_);
    far_ = std::move(far);
    auto entry = begin();
    entry.decide(way, "line 1");
    entry.open();
    return std::make_unique<CountedStream>(std::move(near), std::move(entry));
  }
  uint64_t refused(ErrorCode code) const {
    return account_.counters().refused[static_cast<size_t>(code)];
  }
  uint64_t failed(ErrorCode code) const {
    return account_.counters().failed[static_cast<size_t>(code)];
  }

  io::Loop loop_;
  Account account_{loop_};
  std::unique_ptr<MemoryStream> far_;
};

TEST_F(AccountTest, AFlowIsThereFromItsBeginningToItsEnd) {
  {
    auto entry = begin(Source::tun, Command::bind);
    ASSERT_EQ(account_.flows().size(), 1U);
    const Flow& flow = account_.flows().front();
    EXPECT_EQ(flow.id, 1U);
    EXPECT_EQ(flow.state, State::deciding);
    EXPECT_EQ(flow.target, kTarget);
    EXPECT_EQ(flow.user, "alice");
    entry.decide(rules::Action::direct, "line 3");
    EXPECT_EQ(flow.state, State::opening);
    entry.open();
    EXPECT_EQ(flow.state, State::open);
    auto next = begin();
    EXPECT_EQ(next.flow().id, 2U);
  }
  EXPECT_TRUE(account_.flows().empty());
  const Counters& counters = account_.counters();
  EXPECT_EQ(counters.started[0][1], 1U);
  EXPECT_EQ(counters.started[1][0], 1U);
  EXPECT_EQ(counters.rules, (std::map<std::string, uint64_t>{{"line 3", 1}}));
  EXPECT_EQ(counters.closed, 2U);
  EXPECT_EQ(account_.ways()[static_cast<size_t>(rules::Action::direct)].flows, 1U);
  account_.forget_rules();
  EXPECT_TRUE(account_.counters().rules.empty());
}

TEST_F(AccountTest, TheFlowsThatEndedLastAreRemembered) {
  const size_t before = loop_.memory().used();
  for (size_t i = 0; i < Account::kRecent + 5; ++i) begin().end({true, std::nullopt});
  begin().end({false, ErrorCode::refused});
  EXPECT_EQ(account_.recent().size(), Account::kRecent);
  EXPECT_EQ(account_.recent().front().id, 7U);
  EXPECT_EQ(account_.recent().front().ending.text(), "complete");
  EXPECT_EQ(account_.recent().back().ending.text(), "refused");
  EXPECT_EQ(account_.recent().back().state, State::ended);
  EXPECT_EQ(loop_.memory().used(), before);
}

TEST_F(AccountTest, AnEntryThatMovedEndsOnce) {
  unsigned ends = 0;
  account_.on_end([&](const Flow&, const Ending&) { ++ends; });
  {
    auto entry = begin();
    const Account::Entry moved = std::move(entry);
  }
  EXPECT_EQ(ends, 1U);
}

TEST_F(AccountTest, BytesCountWhileTheyFlowAndAfterwards) {
  auto stream = open(rules::Action::direct);
  EXPECT_EQ(stream->write(as_bytes("12345")), 5U);
  EXPECT_EQ(far_->write(as_bytes("123")), 3U);
  ASSERT_TRUE(testing::run_until(loop_, [&] { return stream->peek().size() == 3; }));
  EXPECT_EQ(account_.flows().front().down, 0U);
  stream->consume(2);
  const auto traffic = [&] { return account_.ways()[static_cast<size_t>(rules::Action::direct)]; };
  EXPECT_EQ(traffic().up, 5U);
  EXPECT_EQ(traffic().down, 2U);
  stream.reset();
  EXPECT_EQ(traffic().up, 5U);
  EXPECT_EQ(traffic().down, 2U);
  EXPECT_EQ(account_.counters().closed, 1U);
}

TEST_F(AccountTest, AnOrderlyEndIsComplete) {
  std::string end;
  account_.on_end([&](const Flow& flow, const Ending& ending) {
    end = std::string(to_string(flow.state)) + " " + std::string(ending.text());
  });
  auto stream = open();
  stream->finish();
  far_->finish();
  ASSERT_TRUE(testing::run_until(loop_, [&] { return stream->ended() && stream->finished(); }));
  stream.reset();
  EXPECT_EQ(end, "open complete");
  EXPECT_EQ(account_.counters().complete, 1U);
}

TEST_F(AccountTest, AFailureIsCountedByItsKind) {
  auto stream = open();
  far_.reset();
  ASSERT_TRUE(testing::run_until(loop_, [&] { return stream->error() != nullptr; }));
  const ErrorCode code = stream->error()->code;
  stream.reset();
  EXPECT_EQ(failed(code), 1U);
  EXPECT_EQ(refused(code), 0U);
  auto entry = begin();
  entry.decide(rules::Action::deny, "default");
  entry.end({false, ErrorCode::not_allowed});
  EXPECT_EQ(refused(ErrorCode::not_allowed), 1U);
  EXPECT_EQ(account_.ways()[static_cast<size_t>(rules::Action::deny)].flows, 1U);
}

}  // namespace
}  // namespace tunproxy::account
