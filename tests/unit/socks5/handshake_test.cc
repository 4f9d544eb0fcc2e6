#include "core/socks5/handshake.h"

#include <gtest/gtest.h>

#include "tests/unit/socks5/wire_support.h"

namespace tunproxy::socks5 {
namespace {

using testing::bytes_of;
using State = ServerHandshake::State;

ByteVector concat(std::initializer_list<ByteVector> parts) {
  ByteVector all;
  for (const ByteVector& part : parts) append(all, part);
  return all;
}

struct Outcome {
  State state = State::greeting;
  size_t taken = 0;
  ByteVector out;
};

// Feeds `input` in pieces of `step` bytes until it is done with.
Outcome feed(ServerHandshake& handshake, Bytes input, size_t step) {
  Outcome outcome;
  while (outcome.taken < input.size() && handshake.state() < State::complete) {
    const Bytes rest = input.subspan(outcome.taken);
    outcome.taken += handshake.feed(rest.first(std::min(step, rest.size())), outcome.out);
  }
  outcome.state = handshake.state();
  return outcome;
}

const Request kRequest{Command::connect, Target::from_host("example.com", 443)};

TEST(ServerHandshake, TakesARequestAndNothingBehindIt) {
  const ByteVector hello = concat({bytes_of({5, 2, 0, 1}), testing::encoded(kRequest)});
  const ByteVector input = concat({hello, ByteVector(5000, 'x')});
  for (const size_t step : {size_t{1}, size_t{3}, size_t{100}, input.size()}) {
    const std::optional<Credentials> nobody;
    ServerHandshake handshake(nobody);
    const Outcome outcome = feed(handshake, input, step);
    EXPECT_EQ(outcome.state, State::complete) << step;
    EXPECT_EQ(outcome.taken, hello.size()) << step;
    EXPECT_EQ(outcome.out, bytes_of({5, 0}));
    EXPECT_EQ(handshake.request(), kRequest);
  }
}

TEST(ServerHandshake, ChecksUserAndPassword) {
  const std::optional<Credentials> required = Credentials{"user", "secret"};
  const ByteVector input =
      concat({bytes_of({5, 2, 0, 2}), testing::encoded(*required), testing::encoded(kRequest)});
  for (const size_t step : {size_t{1}, input.size()}) {
    ServerHandshake handshake(required);
    const Outcome outcome = feed(handshake, input, step);
    EXPECT_EQ(outcome.state, State::complete);
    EXPECT_EQ(outcome.out, bytes_of({5, 2, 1, 0}));
  }
}

TEST(ServerHandshake, RefusesWrongCredentials) {
  const std::optional<Credentials> required = Credentials{"user", "secret"};
  for (const Credentials& given : {Credentials{"user", "Secret"}, Credentials{"use", "secret"},
                                   Credentials{"user", "secret1"}, Credentials{"user", "s"}}) {
    ServerHandshake handshake(required);
    const Outcome outcome =
        feed(handshake, concat({bytes_of({5, 1, 2}), testing::encoded(given)}), 1000);
    EXPECT_EQ(outcome.state, State::failed);
    EXPECT_EQ(outcome.out, bytes_of({5, 2, 1, 1}));
  }
}

TEST(ServerHandshake, RefusesAClientThatOffersNoAcceptableMethod) {
  const std::optional<Credentials> required = Credentials{"user", "secret"};
  for (const auto& policy : {std::optional<Credentials>(), required}) {
    ServerHandshake handshake(policy);
    const Outcome outcome = feed(handshake, bytes_of({5, 1, policy ? 0 : 2}), 1);
    EXPECT_EQ(outcome.state, State::failed);
    EXPECT_EQ(outcome.out, bytes_of({5, 0xff}));
  }
}

TEST(ServerHandshake, AnswersAnUnknownAddressTypeWith08) {
  const std::optional<Credentials> nobody;
  ServerHandshake handshake(nobody);
  const Outcome outcome = feed(handshake, bytes_of({5, 1, 0, 5, 1, 0, 2}), 1);
  EXPECT_EQ(outcome.state, State::failed);
  EXPECT_EQ(outcome.out, bytes_of({5, 0, 5, 8, 0, 1, 0, 0, 0, 0, 0, 0}));
}

TEST(ServerHandshake, AnswersOtherProtocolsInTheirLanguage) {
  const std::optional<Credentials> nobody;
  ServerHandshake socks4(nobody);
  EXPECT_EQ(feed(socks4, bytes_of({4, 1, 0, 80, 1, 2, 3, 4, 0}), 1).out,
            bytes_of({0, 0x5b, 0, 0, 0, 0, 0, 0}));
  ServerHandshake http(nobody);
  const Outcome outcome = feed(http, testing::bytes_of({'G', 'E', 'T'}), 1);
  EXPECT_EQ(outcome.state, State::failed);
  EXPECT_EQ(as_text(outcome.out).substr(0, 13), "HTTP/1.1 501 ");
  ServerHandshake other(nobody);
  EXPECT_EQ(feed(other, bytes_of({22, 3, 1}), 1).state, State::failed);
  EXPECT_FALSE(other.failure().empty());
}

}  // namespace
}  // namespace tunproxy::socks5
