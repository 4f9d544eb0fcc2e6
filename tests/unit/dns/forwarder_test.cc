#include "core/dns/forwarder.h"

#include <gtest/gtest.h>

#include "tests/support/memory_stream.h"
#include "tests/unit/dns/dns_support.h"
#include "tests/unit/socks5/fake_proxy.h"

namespace tunproxy::dns {
namespace {

using testing::answer_to;
using testing::FakeProxy;
using testing::framed;
using testing::Manners;
using testing::MemoryStream;
using testing::query_for;
using testing::run_until;

const Endpoint kFirst = *Endpoint::parse("192.0.2.1:53");
const Endpoint kSecond = *Endpoint::parse("192.0.2.2:53");
const Endpoint kAsked = *Endpoint::parse("198.51.100.7:53");

// The resolver's end of a connection.
class Resolver {
 public:
  explicit Resolver(std::unique_ptr<MemoryStream> stream) : stream_(std::move(stream)) {
    stream_->on_progress([this] {
      append(in_, as_bytes(stream_->read_all()));
      while (in_.size() >= 2 && in_.size() >= 2U + load_be16(in_.data())) {
        const size_t length = load_be16(in_.data());
        queries.emplace_back(in_.begin() + 2, in_.begin() + 2 + static_cast<ptrdiff_t>(length));
        in_.erase(in_.begin(), in_.begin() + 2 + static_cast<ptrdiff_t>(length));
      }
      pump();
    });
  }
  void answer(const ByteVector& message) {
    append(out_, framed(message));
    pump();
  }
  MemoryStream& stream() { return *stream_; }

  std::vector<ByteVector> queries;

 private:
  void pump() {
    const size_t taken = stream_->write(out_);
    out_.erase(out_.begin(), out_.begin() + static_cast<ptrdiff_t>(taken));
  }
  std::unique_ptr<MemoryStream> stream_;
  ByteVector in_;
  ByteVector out_;
};

class ForwarderTest : public ::testing::TestWithParam<Manners> {
 protected:
  // One client's question and what came of it.
  struct Asked {
    ByteVector query;
    std::optional<Result<ByteVector>> outcome;
    std::unique_ptr<net::Attempt> attempt;
    bool answered() const { return outcome && *outcome && **outcome == answer_to(query); }
  };

  Asked& ask(const std::string& name, uint16_t id) {
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
  Resolver connected(size_t call) {
    EXPECT_TRUE(run_until(loop_, [&] { return proxy_.calls.size() > call; }));
    return Resolver(proxy_.succeed(call));
  }
  bool until(const std::function<bool()>& condition) { return run_until(loop_, condition); }

  io::Loop loop_;
  FakeProxy proxy_{loop_, GetParam()};
  Forwarder forwarder_{loop_, proxy_, std::vector<Endpoint>{kFirst, kSecond}};
  std::vector<std::unique_ptr<Asked>> asked_;
};

INSTANTIATE_TEST_SUITE_P(Streams, ForwarderTest,
                         ::testing::Values(Manners{}, Manners{1, SIZE_MAX, 64 * 1024},
                                           Manners{SIZE_MAX, 1, 64 * 1024}, Manners{1, 1, 2}));

TEST_P(ForwarderTest, ClientsShareAConnectionAndGetTheirOwnAnswers) {
  Asked& a = ask("a.example", 7);
  Asked& b = ask("b.example", 7);
  Resolver resolver = connected(0);
  EXPECT_EQ(proxy_.calls[0].target, Target(kFirst));
  ASSERT_TRUE(until([&] { return resolver.queries.size() == 2; }));
  EXPECT_EQ(proxy_.calls.size(), 1u);
  EXPECT_NE(load_be16(resolver.queries[0].data()), load_be16(resolver.queries[1].data()));
  resolver.answer(answer_to(resolver.queries[1]));
  EXPECT_TRUE(until([&] { return b.answered(); }));
  EXPECT_FALSE(a.outcome);
  resolver.answer(answer_to(resolver.queries[0]));
  EXPECT_TRUE(until([&] { return a.answered(); }));
  Asked& c = ask("c.example", 1);
  ASSERT_TRUE(until([&] { return resolver.queries.size() == 3; }));
  resolver.answer(answer_to(resolver.queries[2]));
  EXPECT_TRUE(until([&] { return c.answered(); }));
  EXPECT_EQ(forwarder_.pending(), 0u);
}

TEST_P(ForwarderTest, AnswersThatFitNoQueryAreIgnored) {
  Asked& asked = ask("a.example", 7);
  Resolver resolver = connected(0);
  ASSERT_TRUE(until([&] { return resolver.queries.size() == 1; }));
  const ByteVector query = resolver.queries[0];
  const uint16_t id = load_be16(query.data());
  resolver.answer(query);                                  // not an answer
  resolver.answer(answer_to(query_for("b.example", id)));  // another question
  resolver.answer(answer_to(query_for("a.example", static_cast<uint16_t>(id + 1))));  // another id
  resolver.answer(answer_to(query));
  EXPECT_TRUE(until([&] { return asked.outcome.has_value(); }));
  EXPECT_TRUE(asked.answered());
}

TEST_P(ForwarderTest, AnErrorWithoutAQuestionIsAnAnswer) {
  Asked& asked = ask("a.example", 7);
  Resolver resolver = connected(0);
  ASSERT_TRUE(until([&] { return resolver.queries.size() == 1; }));
  ByteVector refused(resolver.queries[0].begin(), resolver.queries[0].begin() + kHeaderSize);
  refused[2] |= 0x80;
  refused[3] = 5;
  refused[5] = 0;
  resolver.answer(refused);
  ASSERT_TRUE(until([&] { return asked.outcome.has_value(); }));
  ASSERT_TRUE(*asked.outcome);
  EXPECT_EQ(parse_header(**asked.outcome)->id, 7);
  EXPECT_EQ(parse_header(**asked.outcome)->response_code(), 5);
}

TEST_P(ForwarderTest, AsksOnceMoreWhenTheConnectionCloses) {
  Asked& asked = ask("a.example", 7);
  {
    Resolver resolver = connected(0);
    ASSERT_TRUE(until([&] { return resolver.queries.size() == 1; }));
    resolver.stream().finish();
    ASSERT_TRUE(until([&] { return proxy_.calls.size() == 2; }));
  }
  EXPECT_EQ(proxy_.calls[1].target, Target(kFirst));  // it was there: the same one
  Resolver again = connected(1);
  ASSERT_TRUE(until([&] { return again.queries.size() == 1; }));
  again.answer(answer_to(again.queries[0]));
  EXPECT_TRUE(until([&] { return asked.answered(); }));
}

TEST_P(ForwarderTest, GoesToTheNextResolverAndStaysThere) {
  Asked& a = ask("a.example", 1);
  Asked& b = ask("b.example", 2);
  ASSERT_TRUE(until([&] { return proxy_.calls.size() == 1; }));
  proxy_.fail(0, ErrorCode::refused);
  ASSERT_TRUE(until([&] { return proxy_.calls.size() == 2; }));
  EXPECT_EQ(proxy_.calls[1].target, Target(kSecond));
  Resolver second = connected(1);
  ASSERT_TRUE(until([&] { return second.queries.size() == 2; }));
  for (const ByteVector& query : second.queries) second.answer(answer_to(query));
  EXPECT_TRUE(until([&] { return a.answered() && b.answered(); }));
  ask("c.example", 3);
  EXPECT_TRUE(until([&] { return second.queries.size() == 3; }));
  EXPECT_EQ(proxy_.calls.size(), 2u);
}

TEST_P(ForwarderTest, FailsWhenNoResolverCanBeReached) {
  Asked& asked = ask("a.example", 1);
  for (size_t i = 0; i < Forwarder::kMaxTries; ++i) {
    ASSERT_TRUE(until([&] { return proxy_.calls.size() == i + 1; }));
    proxy_.fail(i, ErrorCode::refused);
  }
  ASSERT_TRUE(until([&] { return asked.outcome.has_value(); }));
  EXPECT_EQ(asked.outcome->error().code, ErrorCode::refused);
  EXPECT_EQ(forwarder_.pending(), 0u);
  EXPECT_EQ(forwarder_.connections(), 0u);
}

TEST_P(ForwarderTest, ACancelledQueryIsForgotten) {
  Asked& asked = ask("a.example", 1);
  Asked& other = ask("b.example", 2);
  Resolver resolver = connected(0);
  ASSERT_TRUE(until([&] { return resolver.queries.size() == 2; }));
  asked.attempt.reset();
  EXPECT_EQ(forwarder_.pending(), 1u);
  resolver.answer(answer_to(resolver.queries[0]));
  resolver.answer(answer_to(resolver.queries[1]));
  EXPECT_TRUE(until([&] { return other.answered(); }));
  EXPECT_FALSE(asked.outcome);
}

TEST_P(ForwarderTest, RefusesWhatIsNotAQuery) {
  for (const ByteVector& junk : {ByteVector(), ByteVector(11, 0), ByteVector(12, 0),
                                 answer_to(query_for("a", 1)), ByteVector(5000, 1)}) {
    std::optional<Result<ByteVector>> outcome;
    const auto attempt =
        forwarder_.exchange(kAsked, junk, [&](auto answer) { outcome = std::move(answer); });
    EXPECT_FALSE(outcome);
    ASSERT_TRUE(until([&] { return outcome.has_value(); }));
    EXPECT_FALSE(*outcome);
  }
  EXPECT_TRUE(proxy_.calls.empty());
}

TEST_P(ForwarderTest, PendingQueriesAreBounded) {
  for (size_t i = 0; i < Forwarder::kMaxPending; ++i) ask("a.example", 1);
  Asked& one_more = ask("b.example", 1);
  ASSERT_TRUE(until([&] { return one_more.outcome.has_value(); }));
  EXPECT_EQ(one_more.outcome->error().code, ErrorCode::limit);
  EXPECT_EQ(forwarder_.pending(), Forwarder::kMaxPending);
  EXPECT_EQ(forwarder_.connections(), Forwarder::kMaxPerResolver);
}

TEST(Forwarder, QueriesWaitUntilResolversAreKnown) {
  io::Loop loop;
  FakeProxy proxy(loop);
  Forwarder forwarder(loop, proxy, std::nullopt);
  bool done = false;
  const auto attempt =
      forwarder.exchange(kAsked, query_for("a.example", 1), [&](auto) { done = true; });
  loop.run_once(false);
  EXPECT_TRUE(proxy.calls.empty());
  EXPECT_FALSE(done);
  forwarder.set_resolvers({kSecond});
  ASSERT_TRUE(run_until(loop, [&] { return proxy.calls.size() == 1; }));
  EXPECT_EQ(proxy.calls[0].target, Target(kSecond));
}

TEST(Forwarder, AResolverThatStaysSilentIsFollowedByTheNext) {
  io::Loop loop;
  FakeProxy proxy(loop);
  Forwarder forwarder(loop, proxy, std::vector<Endpoint>{kFirst, kSecond});
  const auto attempt = forwarder.exchange(kAsked, query_for("a.example", 1), [](auto) {});
  ASSERT_TRUE(run_until(loop, [&] { return proxy.calls.size() == 1; }));
  Resolver silent(proxy.succeed(0));
  ASSERT_TRUE(run_until(loop, [&] { return proxy.calls.size() == 2; }));
  EXPECT_EQ(proxy.calls[1].target, Target(kSecond));
  EXPECT_EQ(forwarder.connections(), 1u);  // the silent one is given up
}

}  // namespace
}  // namespace tunproxy::dns
