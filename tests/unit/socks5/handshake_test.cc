#include "core/socks5/handshake.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/socks5/http_wire.h"
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
  State state = State::first_byte;
  size_t taken = 0;
  ByteVector out;
};

const Credentials kRight{"user", "secret"};

// Feeds `input` in pieces of `step` bytes until it is done with; plays who checks credentials.
Outcome feed(ServerHandshake& handshake, Bytes input, size_t step) {
  Outcome outcome;
  while (outcome.taken < input.size() && handshake.state() < State::complete) {
    const Bytes rest = input.subspan(outcome.taken);
    outcome.taken += handshake.feed(rest.first(std::min(step, rest.size())), outcome.out);
    if (handshake.state() == State::checking) {
      handshake.on_checked(handshake.credentials() == kRight, outcome.out);
    }
  }
  outcome.state = handshake.state();
  return outcome;
}

Outcome feed_text(ServerHandshake& handshake, std::string_view input, size_t step = 1) {
  return feed(handshake, as_bytes(input), step);
}

const Request kRequest{Command::connect, Target::from_host("example.com", 443)};

TEST(ServerHandshake, TakesARequestAndNothingBehindIt) {
  const ByteVector hello = concat({bytes_of({5, 2, 0, 1}), testing::encoded(kRequest)});
  const ByteVector input = concat({hello, ByteVector(5000, 'x')});
  for (const size_t step : {size_t{1}, size_t{3}, size_t{100}, input.size()}) {
    ServerHandshake handshake(false);
    const Outcome outcome = feed(handshake, input, step);
    EXPECT_EQ(outcome.state, State::complete) << step;
    EXPECT_EQ(outcome.taken, hello.size()) << step;
    EXPECT_EQ(outcome.out, bytes_of({5, 0}));
    EXPECT_EQ(handshake.request(), kRequest);
  }
}

TEST(ServerHandshake, ChecksUserAndPassword) {
  const ByteVector input =
      concat({bytes_of({5, 2, 0, 2}), testing::encoded(kRight), testing::encoded(kRequest)});
  for (const size_t step : {size_t{1}, input.size()}) {
    ServerHandshake handshake(true);
    const Outcome outcome = feed(handshake, input, step);
    EXPECT_EQ(outcome.state, State::complete);
    EXPECT_EQ(outcome.out, bytes_of({5, 2, 1, 0}));
  }
}

TEST(ServerHandshake, RefusesWrongCredentials) {
  for (const Credentials& given : {Credentials{"user", "Secret"}, Credentials{"use", "secret"},
                                   Credentials{"user", "secret1"}, Credentials{"user", "s"}}) {
    ServerHandshake handshake(true);
    const Outcome outcome =
        feed(handshake, concat({bytes_of({5, 1, 2}), testing::encoded(given)}), 1000);
    EXPECT_EQ(outcome.state, State::failed);
    EXPECT_EQ(outcome.out, bytes_of({5, 2, 1, 1}));
  }
}

TEST(ServerHandshake, RefusesAClientThatOffersNoAcceptableMethod) {
  for (const bool authenticate : {false, true}) {
    ServerHandshake handshake(authenticate);
    const Outcome outcome = feed(handshake, bytes_of({5, 1, authenticate ? 0 : 2}), 1);
    EXPECT_EQ(outcome.state, State::failed);
    EXPECT_EQ(outcome.out, bytes_of({5, 0xff}));
  }
}

TEST(ServerHandshake, AnswersAnUnknownAddressTypeWith08) {
  ServerHandshake handshake(false);
  const Outcome outcome = feed(handshake, bytes_of({5, 1, 0, 5, 1, 0, 2}), 1);
  EXPECT_EQ(outcome.state, State::failed);
  EXPECT_EQ(outcome.out, bytes_of({5, 0, 5, 8, 0, 1, 0, 0, 0, 0, 0, 0}));
}

TEST(ServerHandshake, AnswersMalformedMessagesOfSocks5) {
  ServerHandshake no_methods(false);
  EXPECT_EQ(feed(no_methods, bytes_of({5, 0}), 1).out, bytes_of({5, 0xff}));
  for (const ByteVector& wrong :
       {bytes_of({2}), bytes_of({1, 0, 1, 'p'}), bytes_of({1, 1, 'u', 0})}) {
    ServerHandshake credentials(true);
    const Outcome outcome = feed(credentials, concat({bytes_of({5, 1, 2}), wrong}), 1);
    EXPECT_EQ(outcome.state, State::failed);
    EXPECT_EQ(outcome.out, bytes_of({5, 2, 1, 1}));
  }
  ServerHandshake version(false);
  EXPECT_EQ(feed(version, bytes_of({5, 1, 0, 4}), 1).out,
            bytes_of({5, 0, 5, 1, 0, 1, 0, 0, 0, 0, 0, 0}));
  ServerHandshake name(false);
  EXPECT_EQ(feed(name, bytes_of({5, 1, 0, 5, 1, 0, 3, 1, 7, 0, 80}), 1).out,
            bytes_of({5, 0, 5, 1, 0, 1, 0, 0, 0, 0, 0, 0}));
}

TEST(ServerHandshake, StopsBehindTheCredentialsUntilTheyAreChecked) {
  const ByteVector ahead = concat({bytes_of({5, 1, 2}), testing::encoded(kRight)});
  const ByteVector input = concat({ahead, testing::encoded(kRequest)});
  ServerHandshake handshake(true);
  ByteVector out;
  EXPECT_EQ(handshake.feed(input, out), ahead.size());
  EXPECT_EQ(handshake.state(), State::checking);
  EXPECT_EQ(handshake.credentials(), kRight);
  EXPECT_EQ(handshake.user(), "");
  EXPECT_EQ(handshake.feed(Bytes(input).subspan(ahead.size()), out), 0u);
  EXPECT_EQ(out, bytes_of({5, 2}));
  handshake.on_checked(true, out);
  EXPECT_EQ(handshake.user(), "user");
  EXPECT_NE(handshake.credentials().password, "secret") << "kept for no use";
  EXPECT_EQ(handshake.feed(Bytes(input).subspan(ahead.size()), out), input.size() - ahead.size());
  EXPECT_EQ(handshake.request(), kRequest);
}

TEST(ServerHandshake, SaysSoWhenItCannotCheckNow) {
  ServerHandshake socks5(true);
  ByteVector out;
  socks5.feed(concat({bytes_of({5, 1, 2}), testing::encoded(kRight)}), out);
  socks5.on_overload(out);
  EXPECT_EQ(out, bytes_of({5, 2, 1, 1}));
  EXPECT_EQ(socks5.state(), State::failed);
  ServerHandshake http(true);
  out.clear();
  http.feed(as_bytes("CONNECT h:1 HTTP/1.1\r\nProxy-Authorization: Basic dTpw\r\n\r\n"), out);
  http.on_overload(out);
  EXPECT_EQ(as_text(out).substr(0, 13), "HTTP/1.1 503 ");
}

TEST(ServerHandshake, TakesSocks4AndSocks4a) {
  const ByteVector by_address = bytes_of({4, 1, 0x1f, 0x90, 1, 2, 3, 4, 'm', 'e', 0});
  const ByteVector by_name = bytes_of({4, 2, 0, 21, 0, 0, 0, 9, 0, 'h', '.', 'x', 0});
  for (const size_t step : {size_t{1}, size_t{100}}) {
    ServerHandshake first(false);
    Outcome outcome = feed(first, concat({by_address, bytes_of({'d', 'a', 't', 'a'})}), step);
    EXPECT_EQ(outcome.state, State::complete);
    EXPECT_EQ(outcome.taken, by_address.size());
    EXPECT_TRUE(outcome.out.empty());
    EXPECT_EQ(first.protocol(), Protocol::socks4);
    EXPECT_EQ(first.user(), "") << "which nobody has verified";
    EXPECT_EQ(first.request(), (Request{Command::connect, *Target::parse("1.2.3.4:8080")}));
    ServerHandshake second(false);
    outcome = feed(second, by_name, step);
    EXPECT_EQ(outcome.state, State::complete);
    EXPECT_EQ(second.request(), (Request{Command::bind, Target::from_host("h.x", 21)}));
  }
}

TEST(ServerHandshake, RefusesSocks4ThatItCannotServe) {
  const ByteVector rejected = bytes_of({0, 0x5b, 0, 0, 0, 0, 0, 0});
  ServerHandshake without_password(true);
  EXPECT_EQ(feed(without_password, bytes_of({4, 1, 0, 80, 1, 2, 3, 4, 0}), 1).out, rejected);
  EXPECT_EQ(without_password.state(), State::failed);
  for (const int command : {0, 3, 5, 255}) {
    ServerHandshake handshake(false);
    EXPECT_EQ(feed(handshake, bytes_of({4, command, 0, 80, 1, 2, 3, 4, 0}), 1).out, rejected);
  }
  ByteVector long_user = bytes_of({4, 1, 0, 80, 1, 2, 3, 4});
  long_user.resize(4000, 'u');
  ServerHandshake handshake(false);
  EXPECT_EQ(feed(handshake, long_user, 100).out, rejected);
}

TEST(ServerHandshake, TakesConnectOfHttp) {
  const std::string head =
      "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nUser-Agent: x\r\n\r\n";
  for (const size_t step : {size_t{1}, size_t{7}, size_t{5000}}) {
    ServerHandshake handshake(false);
    const Outcome outcome = feed_text(handshake, head + "\x16\x03 early data", step);
    EXPECT_EQ(outcome.state, State::complete) << handshake.failure();
    EXPECT_EQ(outcome.taken, head.size());
    EXPECT_TRUE(outcome.out.empty()) << "no answer before the outcome is known";
    EXPECT_EQ(handshake.request(), kRequest);
    EXPECT_EQ(handshake.protocol(), Protocol::http);
  }
}

TEST(ServerHandshake, AsksHttpClientsForAPassword) {
  // user:secret, user:wrong
  const std::string connect = "CONNECT example.com:443 HTTP/1.1\r\nproxy-authorization:";
  ServerHandshake right(true);
  EXPECT_EQ(feed_text(right, connect + "basic  dXNlcjpzZWNyZXQ= \r\n\r\n").state, State::complete);
  EXPECT_EQ(right.user(), "user");
  for (const char* given : {"Basic dXNlcjp3cm9uZw==", "Basic dXNlcg==", "Basic !", "Basic",
                            "Bearer x", "Basic dXNlcjpzZWNyZXQ", "Basic dXNlcjpzZ=WNyZXQ"}) {
    ServerHandshake wrong(true);
    const Outcome outcome = feed_text(wrong, connect + given + "\r\n\r\n");
    EXPECT_EQ(outcome.state, State::failed) << given;
    EXPECT_EQ(as_text(outcome.out).substr(0, 13), "HTTP/1.1 407 ") << given;
    EXPECT_NE(as_text(outcome.out).find("\r\nProxy-Authenticate: Basic realm=\"tunproxy\""),
              std::string_view::npos);
  }
}

TEST(ServerHandshake, RefusesOtherHttpReadably) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "501"},
      {"GET / HTTP/1.0\r\n\r\n", "501"},
      {"CONNECT example.com HTTP/1.1\r\n\r\n", "400"},
      {"CONNECT example.com:0 HTTP/1.1\r\n\r\n", "400"},
      {"CONNECT  HTTP/1.1\r\n\r\n", "400"},
      {"CONNECT a:1 HTTP/2.0\r\n\r\n", "400"},
      {"CONNECT a:1\r\n\r\n", "400"},
      {"CONNECT a:1 x HTTP/1.1\r\n\r\n", "400"},
      {"CONNECT a:1 HTTP/1.1\r\nno colon\r\n\r\n", "400"},
      {"CONNECT a:1 HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", "400"},
      {"CONNECT a:1 HTTP/1.1\r\nA : b\r\n\r\n", "400"},
      {"CONNECT a:1 HTTP/1.1\r\nA: b\rc\r\n\r\n", "400"},
      {"CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: Basic x\r\nproxy-Authorization: Basic "
       "y\r\n\r\n",
       "400"},
      {"CONNECT a:1 HTTP/1.1\r\nA: " + std::string(kMaxHttpHead, 'x'), "431"},
      {"CONNECT " + std::string(2 * kMaxHttpHead, 'x'), "431"},
  };
  for (const auto& [input, status] : cases) {
    for (const size_t step : {size_t{1}, size_t{100000}}) {
      ServerHandshake handshake(false);
      const Outcome outcome = feed_text(handshake, input, step);
      const std::string answer(as_text(outcome.out));
      EXPECT_EQ(outcome.state, State::failed) << input.substr(0, 60);
      EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 " + status) << input.substr(0, 60);
      const size_t body = answer.find("\r\n\r\n") + 4;
      EXPECT_NE(answer.find(fmt::format("\r\nContent-Length: {}\r\n", answer.size() - body)),
                std::string::npos);
      EXPECT_EQ(answer.substr(body, 10), "tunproxy: ");
    }
  }
}

TEST(ServerHandshake, SaysNothingToOtherProtocols) {
  for (const int first : {0, 1, 3, 6, 22, 0x61, 255}) {
    ServerHandshake other(false);
    const Outcome outcome = feed(other, bytes_of({first, 3, 1}), 1);
    EXPECT_EQ(outcome.state, State::failed);
    EXPECT_TRUE(outcome.out.empty());
    EXPECT_FALSE(other.failure().empty());
  }
}

// Whatever is cut off wants more, and no byte is answered early.
TEST(ServerHandshake, WaitsForTheRestOfEveryTruncatedHandshake) {
  const std::string head = "CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::vector<std::pair<bool, ByteVector>> whole = {
      {false, concat({bytes_of({5, 3, 1, 0, 2}), testing::encoded(kRequest)})},
      {true, concat({bytes_of({5, 1, 2}), testing::encoded(kRight), testing::encoded(kRequest)})},
      {false, bytes_of({4, 1, 0, 80, 1, 2, 3, 4, 'm', 'e', 0})},
      {false, bytes_of({4, 1, 0, 80, 0, 0, 0, 1, 'm', 'e', 0, 'h', '.', 'x', 0})},
      {false, ByteVector(head.begin(), head.end())}};
  for (const auto& [authenticate, input] : whole) {
    for (size_t length = 0; length < input.size(); ++length) {
      ServerHandshake handshake(authenticate);
      const Outcome outcome = feed(handshake, Bytes(input).first(length), length + 1);
      EXPECT_LT(outcome.state, State::complete) << length << " of " << input.size();
      EXPECT_EQ(outcome.taken, length);
    }
  }
}

}  // namespace
}  // namespace tunproxy::socks5
