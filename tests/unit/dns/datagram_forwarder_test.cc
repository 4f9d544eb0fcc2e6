#include "core/dns/datagram_forwarder.h"

#include <gtest/gtest.h>

#include <set>

#include "core/dns/message.h"
#include "tests/unit/dns/dns_support.h"
#include "tests/unit/dns/fake_name_service.h"
#include "tests/unit/socks5/fake_datagrams.h"
#include "tests/unit/socks5/fake_proxy.h"

namespace tunproxy::dns {
namespace {

using testing::answer_to;
using testing::query_for;
using testing::run_until;

const Endpoint kResolver = *Endpoint::parse("192.0.2.1:53");
const Endpoint kSecond = *Endpoint::parse("192.0.2.2:53");
const Endpoint kAsked = *Endpoint::parse("198.51.100.7:53");
const Endpoint kStranger = *Endpoint::parse("192.0.2.9:53");

class DatagramForwarderTest : public ::testing::Test {
 protected:
  struct Asked {
    ByteVector query;
    std::optional<Result<ByteVector>> outcome;
    std::unique_ptr<net::Attempt> attempt;
    bool answered() const { return outcome && *outcome && **outcome == answer_to(query); }
  };

  DatagramForwarderTest() { datagrams_.echo = false; }

  Asked& ask(const std::string& name, uint16_t id = 7) {
    asked_.push_back(std::make_unique<Asked>());
    Asked& asked = *asked_.back();
    asked.query = query_for(name, id);
    asked.attempt = forwarder_.exchange(kAsked, asked.query, [&asked](Result<ByteVector> answer) {
      asked.outcome = std::move(answer);
      asked.attempt.reset();
    });
    EXPECT_FALSE(asked.outcome) << "called from within exchange()";
    return asked;
  }
  auto& association(size_t index = 0) { return *datagrams_.all.at(index); }
  /// The message that was sent as number `index`.
  ByteVector sent(size_t index) {
    EXPECT_TRUE(run_until(loop_, [&] { return association().sent.size() > index; }));
    return association().sent.at(index).second;
  }
  void answer(const ByteVector& message, const Endpoint& from = kResolver) {
    association().on_datagram(from, message);
  }

  io::Loop loop_;
  testing::FakeDatagrams datagrams_{loop_};
  testing::FakeNameService over_tcp_;
  bool carried_ = true;
  DatagramForwarder forwarder_{
      loop_, datagrams_, over_tcp_, {kResolver, kSecond}, [this] { return carried_; }};
  std::vector<std::unique_ptr<Asked>> asked_;
};

TEST_F(DatagramForwarderTest, ClientsShareAnAssociationUnderIdsOfItsOwn) {
  Asked& a = ask("a.example");
  Asked& b = ask("b.example");
  const ByteVector first = sent(0), second = sent(1);
  EXPECT_EQ(association().sent[0].first, Target(kResolver));
  EXPECT_NE(load_be16(first.data()), load_be16(second.data()));
  answer(answer_to(second));
  answer(answer_to(first));
  EXPECT_TRUE(a.answered() && b.answered());
  Asked& c = ask("c.example");
  answer(answer_to(sent(2)));
  EXPECT_TRUE(c.answered());
  EXPECT_EQ(datagrams_.all.size(), 1u);
  EXPECT_EQ(forwarder_.pending(), 0u);
  EXPECT_TRUE(over_tcp_.calls.empty());
}

TEST_F(DatagramForwarderTest, IdsCannotBeForetold) {
  std::set<uint16_t> steps;
  uint16_t last = 0;
  for (unsigned i = 0; i < 20; ++i) {
    ask("a.example");
    const uint16_t id = load_be16(sent(i).data());
    steps.insert(static_cast<uint16_t>(id - last));
    last = id;
  }
  EXPECT_GT(steps.size(), 15u);
}

TEST_F(DatagramForwarderTest, OnlyTheResolversAnswerToTheQuestionCounts) {
  Asked& a = ask("a.example");
  const ByteVector query = sent(0);
  answer(answer_to(query), kStranger);
  answer(answer_to(query), {kResolver.address, 54});
  answer(query);  // no answer
  ByteVector other_id = answer_to(query);
  other_id[0] ^= 1;
  answer(other_id);
  answer(answer_to(query_for("b.example", load_be16(query.data()))));
  for (size_t size = 0; size < query.size(); ++size) {
    answer(ByteVector(query.begin(), query.begin() + static_cast<ptrdiff_t>(size)));
  }
  EXPECT_FALSE(a.outcome);
  answer(answer_to(query));
  EXPECT_TRUE(a.answered());
  answer(answer_to(query));  // once more: nobody waits
}

TEST_F(DatagramForwarderTest, WhatIsTruncatedIsAskedOverTcp) {
  Asked& a = ask("a.example");
  ByteVector truncated = answer_to(sent(0));
  truncated[2] |= 2;
  answer(truncated);
  ASSERT_EQ(over_tcp_.calls.size(), 1u);
  EXPECT_EQ(over_tcp_.calls[0]->query, a.query);
  EXPECT_EQ(over_tcp_.calls[0]->server, kAsked);
  over_tcp_.answer(0, answer_to(a.query));
  EXPECT_TRUE(a.answered());
  ask("b.example");
  sent(1);  // by UDP, as the first
}

TEST_F(DatagramForwarderTest, GoesOverTcpWhileNothingIsCarried) {
  carried_ = false;
  ask("a.example");
  EXPECT_EQ(over_tcp_.calls.size(), 1u);
  EXPECT_TRUE(datagrams_.all.empty());
  carried_ = true;
  ask("b.example");
  EXPECT_EQ(over_tcp_.calls.size(), 1u);
  EXPECT_EQ(datagrams_.all.size(), 1u);
}

TEST_F(DatagramForwarderTest, WhatIsNoQueryOrTooLongIsLeftToTcp) {
  const ByteVector answer = answer_to(query_for("a.example", 1));
  const auto a = forwarder_.exchange(kAsked, answer, [](auto) {});
  const auto b = forwarder_.exchange(kAsked, ByteVector(5), [](auto) {});
  ByteVector longest = query_for("a.example", 1);
  longest.resize(DatagramForwarder::kMaxQuery + 1);
  const auto c = forwarder_.exchange(kAsked, longest, [](auto) {});
  EXPECT_EQ(over_tcp_.calls.size(), 3u);
}

TEST_F(DatagramForwarderTest, AnUnansweredOneIsAskedOfTheNextResolverAndOverTcpAsWell) {
  Asked& a = ask("a.example");
  const ByteVector query = sent(0);
  EXPECT_TRUE(over_tcp_.calls.empty());
  EXPECT_EQ(sent(1), query);
  EXPECT_EQ(association().sent[1].first, Target(kSecond));
  ASSERT_EQ(over_tcp_.calls.size(), 1u);
  answer(answer_to(query), kSecond);
  EXPECT_TRUE(a.answered());
  EXPECT_TRUE(over_tcp_.calls[0]->cancelled);
  ask("b.example");
  EXPECT_EQ(association().sent.at(2).first, Target(kSecond)) << "the one that answers goes first";
  EXPECT_EQ(over_tcp_.calls.size(), 1u);
}

TEST_F(DatagramForwarderTest, TheFirstResolverMayAnswerLate) {
  Asked& a = ask("a.example");
  const ByteVector query = sent(0);
  sent(1);
  answer(answer_to(query), kResolver);
  EXPECT_TRUE(a.answered());
}

TEST_F(DatagramForwarderTest, WhereOnlyTcpAnswersBothAreAskedAtOnceForAWhile) {
  Asked& a = ask("a.example");
  ASSERT_TRUE(run_until(loop_, [&] { return over_tcp_.calls.size() == 1; }));
  over_tcp_.answer(0, answer_to(a.query));
  EXPECT_TRUE(a.answered());
  EXPECT_EQ(forwarder_.pending(), 0u);
  Asked& b = ask("b.example");
  EXPECT_EQ(over_tcp_.calls.size(), 2u);
  EXPECT_EQ(association().sent.size(), 3u);
  answer(answer_to(sent(2)));  // UDP is back
  EXPECT_TRUE(b.answered());
  EXPECT_TRUE(over_tcp_.calls[1]->cancelled);
  ask("c.example");
  EXPECT_EQ(over_tcp_.calls.size(), 2u);
}

TEST_F(DatagramForwarderTest, AResolverWithoutTcpIsEnough) {
  Asked& a = ask("a.example");
  ASSERT_TRUE(run_until(loop_, [&] { return over_tcp_.calls.size() == 1; }));
  over_tcp_.answer(0, Error{ErrorCode::refused, "no TCP here"});
  EXPECT_FALSE(a.outcome);
  const ByteVector query = sent(2);
  answer(answer_to(query));
  EXPECT_TRUE(a.answered());
}

TEST_F(DatagramForwarderTest, WhereNeitherAnswersItSaysWhatTcpSaid) {
  Asked& a = ask("a.example");
  ASSERT_TRUE(run_until(loop_, [&] { return over_tcp_.calls.size() == 1; }));
  over_tcp_.answer(0, Error{ErrorCode::refused, "no TCP here"});
  ASSERT_TRUE(run_until(loop_, [&] { return a.outcome.has_value(); }));
  EXPECT_EQ(a.outcome->error().code, ErrorCode::refused);
  EXPECT_EQ(association().sent.size(), size_t{DatagramForwarder::kTries});
  EXPECT_EQ(forwarder_.pending(), 0u);
  EXPECT_EQ(over_tcp_.calls.size(), 1u);
}

TEST_F(DatagramForwarderTest, ARefusedAssociationLeavesAllToTcp) {
  datagrams_.at_once = false;
  ask("a.example");
  ask("b.example");
  EXPECT_EQ(datagrams_.all.size(), 1u);
  datagrams_.fail(0, ErrorCode::command_not_supported);
  EXPECT_EQ(over_tcp_.calls.size(), 2u);
  ask("c.example");
  EXPECT_EQ(over_tcp_.calls.size(), 3u);
  EXPECT_EQ(datagrams_.all.size(), 1u) << "and is not asked for at once again";
}

TEST_F(DatagramForwarderTest, ALostAssociationIsOpenedAgainForWhatWaits) {
  Asked& a = ask("a.example");
  sent(0);
  association().on_closed({ErrorCode::reset, "gone"});
  ASSERT_TRUE(run_until(loop_, [&] { return datagrams_.all.size() == 2; }));
  ASSERT_TRUE(run_until(loop_, [&] { return !association(1).sent.empty(); }));
  association(1).on_datagram(kResolver, answer_to(association(1).sent[0].second));
  EXPECT_TRUE(a.answered());
}

TEST_F(DatagramForwarderTest, CancelledOnesAreForgotten) {
  Asked& a = ask("a.example");
  const ByteVector query = sent(0);
  a.attempt.reset();
  EXPECT_EQ(forwarder_.pending(), 0u);
  answer(answer_to(query));
  EXPECT_FALSE(a.outcome);
}

}  // namespace
}  // namespace tunproxy::dns
