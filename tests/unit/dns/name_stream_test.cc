#include "core/dns/name_stream.h"

#include <gtest/gtest.h>

#include "core/dns/fake_answer.h"
#include "core/dns/redirect.h"
#include "core/net/relay.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/dns/dns_support.h"
#include "tests/unit/dns/fake_name_service.h"
#include "tests/unit/socks5/fake_proxy.h"

namespace tunproxy::dns {
namespace {

using testing::answer_to;
using testing::framed;
using testing::Manners;
using testing::MemoryStream;
using testing::query_for;
using testing::run_until;

const Endpoint kServer = *Endpoint::parse("198.18.0.2:53");

// client ── flow │ relay │ NameStream ── name service
class NameStreamTest : public ::testing::TestWithParam<Manners> {
 protected:
  void SetUp() override { serve(NameStream::kIdle); }

  void serve(Duration idle) {
    auto [client, flow] = MemoryStream::make_pair(loop_, GetParam());
    client_ = std::move(client);
    relay_ = std::make_unique<net::Relay>(
        std::move(flow), std::make_unique<NameStream>(loop_, names_, kServer, idle),
        [this](const Error* error) {
          failed_ = error != nullptr;
          done_ = true;
          loop_.retire(std::move(relay_));
        });
  }
  bool until(const std::function<bool()>& condition) { return run_until(loop_, condition); }
  void send(const ByteVector& bytes) {
    size_t sent = 0;
    EXPECT_TRUE(until([&] {
      sent += client_->write(Bytes(bytes).subspan(sent));
      return sent == bytes.size() || client_->error() != nullptr;
    }));
  }
  ByteVector receive(size_t size) {
    EXPECT_TRUE(until([&] {
      append(received_, as_bytes(client_->read_all()));
      return received_.size() >= size;
    }));
    return std::exchange(received_, {});
  }
  bool asked(size_t queries) {
    return until([&] { return names_.calls.size() >= queries; });
  }

  io::Loop loop_;
  testing::FakeNameService names_;
  std::unique_ptr<MemoryStream> client_;
  std::unique_ptr<net::Relay> relay_;
  ByteVector received_;
  bool done_ = false;
  bool failed_ = false;
};

INSTANTIATE_TEST_SUITE_P(Manners, NameStreamTest,
                         ::testing::Values(Manners{}, Manners{1, SIZE_MAX}, Manners{SIZE_MAX, 1},
                                           Manners{3, 2, 7}));

TEST_P(NameStreamTest, AnswersEachQueryWhenItsAnswerComes) {
  const ByteVector a = query_for("a.example", 1), b = query_for("bb.example", 2);
  send(framed(a));
  send(framed(b));
  ASSERT_TRUE(asked(2));
  EXPECT_EQ(names_.calls[0]->query, a);
  EXPECT_EQ(names_.calls[0]->server, kServer);
  EXPECT_EQ(names_.calls[1]->query, b);
  names_.answer(1, answer_to(b));
  EXPECT_EQ(receive(b.size() + 2), framed(answer_to(b)));
  names_.answer(0, answer_to(a));
  EXPECT_EQ(receive(a.size() + 2), framed(answer_to(a)));
  EXPECT_FALSE(done_);
}

TEST_P(NameStreamTest, AnAnswerAsLongAsDnsAllowsComesWhole) {
  send(framed(query_for("a.example", 1)));
  ASSERT_TRUE(asked(1));
  ByteVector longest = answer_to(query_for("a.example", 1));
  longest.resize(kMaxMessage, 'x');
  names_.answer(0, longest);
  EXPECT_EQ(receive(kMaxMessage + 2), framed(longest));
}

TEST_P(NameStreamTest, WhatNobodyAnswersIsAServerFailure) {
  const ByteVector query = query_for("a.example", 0x1234);
  send(framed(query));
  ASSERT_TRUE(asked(1));
  names_.answer(0, Error{ErrorCode::timed_out, "silence"});
  const ByteVector answer = receive(query.size() + 2);
  const Bytes message = Bytes(answer).subspan(2);
  EXPECT_EQ(parse_header(message)->id, 0x1234);
  EXPECT_EQ(parse_header(message)->response_code(), kServerFailure);
  EXPECT_TRUE(parse_question(message)->matches(*parse_question(query)));
}

TEST_P(NameStreamTest, ZonesAreNotTransferred) {
  ByteVector query = query_for("example", 1);
  query[query.size() - 3] = kTypeAxfr;
  send(framed(query));
  const ByteVector answer = receive(query.size() + 2);
  EXPECT_EQ(parse_header(Bytes(answer).subspan(2))->response_code(), kNotImplemented);
  EXPECT_TRUE(names_.calls.empty());
}

TEST_P(NameStreamTest, WhatIsNoQueryEndsIt) {
  const ByteVector query = query_for("a.example", 1);
  const ByteVector cut_off(query.begin(), query.end() - 1);
  for (const ByteVector& bytes :
       {framed(answer_to(query)), framed(cut_off), framed({}), ByteVector{0xff, 0xff, 0, 0}}) {
    SCOPED_TRACE(bytes.size());
    done_ = failed_ = false;
    serve(NameStream::kIdle);
    send(bytes);
    EXPECT_TRUE(until([&] { return done_; }));
    EXPECT_TRUE(failed_);
    EXPECT_TRUE(until([&] { return client_->error() != nullptr; }));
  }
  EXPECT_TRUE(names_.calls.empty());
}

TEST_P(NameStreamTest, AnswersWhatWasAskedBeforeTheClientHalfClosed) {
  const ByteVector query = query_for("a.example", 1);
  send(framed(query));
  send({0, 40, 1});  // and a message that it does not finish
  client_->finish();
  ASSERT_TRUE(asked(1));
  EXPECT_FALSE(done_);
  names_.answer(0, answer_to(query));
  EXPECT_EQ(receive(query.size() + 2), framed(answer_to(query)));
  EXPECT_TRUE(until([&] { return done_ && client_->ended(); }));
  EXPECT_FALSE(failed_);
}

TEST_P(NameStreamTest, TakesSoManyQueriesAndNoMoreUntilTheyAreAnswered) {
  constexpr size_t kQueries = 500;
  ByteVector all;
  for (size_t i = 0; i < kQueries; ++i) append(all, framed(query_for("a.example", 1)));
  size_t sent = 0;
  const auto write = [&] {
    sent += client_->write(Bytes(all).subspan(sent));
    return false;
  };
  ASSERT_TRUE(until([&] {
    write();
    return names_.calls.size() == NameStream::kMaxPending;
  }));
  run_until(loop_, write, 20ms);
  EXPECT_EQ(names_.calls.size(), NameStream::kMaxPending);
  const ByteVector answer = answer_to(query_for("a.example", 1));
  size_t answered = 0;
  ASSERT_TRUE(until([&] {
    write();
    while (answered < names_.calls.size()) names_.answer(answered++, answer);
    append(received_, as_bytes(client_->read_all()));
    return received_.size() == kQueries * (answer.size() + 2);
  }));
  EXPECT_EQ(answered, kQueries);
}

TEST_P(NameStreamTest, AClientThatDoesNotReadIsNotServedFurther) {
  ByteVector answer = answer_to(query_for("a.example", 1));
  answer.resize(kMaxMessage);
  ByteVector all;
  for (size_t i = 0; i < 100; ++i) append(all, framed(query_for("a.example", 1)));
  size_t sent = 0, answered = 0;
  run_until(
      loop_,
      [&] {
        sent += client_->write(Bytes(all).subspan(sent));
        while (answered < names_.calls.size()) names_.answer(answered++, answer);
        return false;
      },
      50ms);
  EXPECT_LE(answered, 2 * NameStream::kMaxPending);
}

TEST_P(NameStreamTest, AnIdleOneEnds) {
  serve(1ms);
  EXPECT_TRUE(until([&] { return client_->ended(); }));
  send(framed(query_for("a.example", 1)));  // too late: the client has seen the end
  client_->finish();
  EXPECT_TRUE(until([&] { return done_; }));
  EXPECT_FALSE(failed_);
  EXPECT_TRUE(names_.calls.empty());
}

TEST_P(NameStreamTest, AskedOnesAreCancelledWithIt) {
  send(framed(query_for("a.example", 1)));
  ASSERT_TRUE(asked(1));
  relay_.reset();
  EXPECT_TRUE(names_.calls[0]->cancelled);
}

TEST(NameStream, OneThatWaitsForAnAnswerIsNotIdle) {
  io::Loop loop;
  testing::FakeNameService names;
  NameStream stream(loop, names, kServer, 1ms);
  const ByteVector query = query_for("a.example", 1);
  stream.write(framed(query));
  run_until(
      loop, [] { return false; }, 20ms);
  EXPECT_FALSE(stream.ended());
  names.answer(0, answer_to(query));
  EXPECT_EQ(stream.peek().size(), query.size() + 2);
  stream.consume(query.size() + 2);
  EXPECT_TRUE(run_until(loop, [&] { return stream.ended(); }));
}

TEST(Redirect, AnswersPort53AndPassesAllElseOn) {
  io::Loop loop;
  testing::FakeProxy proxy(loop);
  testing::FakeNameService names;
  Redirect redirect(loop, proxy, names);
  std::unique_ptr<net::Stream> stream;
  const auto dns = redirect.connect(*Target::parse("192.0.2.1:53"), [&](auto opened) {
    ASSERT_TRUE(opened);
    stream = std::move(*opened);
  });
  EXPECT_FALSE(stream) << "called from within connect()";
  ASSERT_TRUE(run_until(loop, [&] { return stream != nullptr; }));
  EXPECT_TRUE(proxy.calls.empty());
  const ByteVector query = framed(query_for("a.example", 1));
  EXPECT_EQ(stream->write(query), query.size());
  ASSERT_EQ(names.calls.size(), 1u);
  EXPECT_EQ(names.calls[0]->server, *Endpoint::parse("192.0.2.1:53"));
  const auto other = redirect.connect(*Target::parse("192.0.2.1:853"), [](auto) {});
  EXPECT_EQ(proxy.calls.at(0).target, *Target::parse("192.0.2.1:853"));
}

}  // namespace
}  // namespace tunproxy::dns
