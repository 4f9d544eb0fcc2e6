// Questions to the server's own resolver, through either helper.
#include <gtest/gtest.h>

#include <stdexcept>

#include "core/dns/message.h"
#include "tests/relay/helper_process.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::testing {
namespace {

ByteVector query(uint16_t id, char letter = 'a') {
  ByteVector message = {0, 0,   1,   0,   0,   1, 0, 0, 0, 0, 0, 0, 1, static_cast<uint8_t>(letter),
                        4, 't', 'e', 's', 't', 0, 0, 1, 0, 1};
  dns::set_id(message, id);
  return message;
}

/// The query with the bits of a response, and something behind it.
ByteVector answer_to(Bytes message, uint8_t code = 0, size_t extra = 4) {
  ByteVector answer(message.begin(), message.end());
  answer[2] |= 0x80;
  answer[3] = code;
  answer.insert(answer.end(), extra, 'z');
  return answer;
}

/// A resolver over UDP and TCP at one port, whose answers the test decides.
class Resolver {
 public:
  using Answer = std::function<std::vector<ByteVector>(Bytes query)>;

  Resolver(io::Loop& loop, Answer over_udp, Answer over_tcp = {})
      : over_udp_(std::move(over_udp)), over_tcp_(std::move(over_tcp)) {
    socket_ = *io::UdpSocket::bind(loop, {*IpAddress::parse("127.0.0.1"), 0},
                                   [this](const Endpoint& from, Bytes message) {
                                     ++udp_queries;
                                     for (const auto& each : over_udp_(message)) {
                                       socket_->send(from, each);
                                     }
                                   });
    listener_ = *io::TcpListener::listen(loop, local(), [this](std::unique_ptr<io::TcpStream> s) {
      stream_ = std::move(s);
      stream_->on_progress([this] { on_progress(); });
    });
  }
  Endpoint local() const { return socket_->local(); }

  size_t udp_queries = 0;
  size_t tcp_queries = 0;

 private:
  void on_progress() {
    const Bytes bytes = stream_->peek();
    if (bytes.size() < 2 || bytes.size() < 2u + load_be16(bytes.data())) return;
    ++tcp_queries;
    ByteVector out;
    for (const auto& each : over_tcp_(bytes.subspan(2, load_be16(bytes.data())))) {
      append_be16(out, static_cast<uint16_t>(each.size()));
      append(out, each);
    }
    stream_->consume(bytes.size());
    stream_->write(out);
  }

  Answer over_udp_;
  Answer over_tcp_;
  std::unique_ptr<io::UdpSocket> socket_;
  std::unique_ptr<io::TcpListener> listener_;
  std::unique_ptr<io::TcpStream> stream_;
};

class RelayQuestion : public ::testing::TestWithParam<Kind> {
 protected:
  void start(const Resolver& resolver) {
    helper_ = std::make_unique<HelperProcess>(
        helper_command(GetParam(), {"--resolver", resolver.local().to_string()}));
    udp::RelayOptions options;
    options.probe_timeout = options.answer_timeout = 15s;
    auto client = start_client(loop_, helper_->stream(loop_), options);
    if (!client) throw std::runtime_error(client.error().message);
    client_ = *std::move(client);
  }
  Result<ByteVector> ask(const ByteVector& message) {
    std::optional<Result<ByteVector>> outcome;
    const auto attempt =
        client_->resolve(message, [&](Result<ByteVector> result) { outcome = std::move(result); });
    run_until(
        loop_, [&] { return outcome.has_value(); }, 20s);
    return outcome ? *outcome : Result<ByteVector>(Error{ErrorCode::general, "no outcome"});
  }

  io::Loop loop_;
  std::unique_ptr<HelperProcess> helper_;
  std::unique_ptr<udp::RelayClient> client_;
};

INSTANTIATE_TEST_SUITE_P(Both, RelayQuestion, ::testing::Values(Kind::cpp, Kind::python),
                         kind_name);

TEST_P(RelayQuestion, KeepsTheIdOfTheClientAndHidesItFromTheResolver) {
  std::vector<uint16_t> ids;
  Resolver resolver(loop_, [&](Bytes message) -> std::vector<ByteVector> {
    ids.push_back(load_be16(message.data()));
    return {answer_to(message)};
  });
  start(resolver);
  for (int i = 0; i < 3; ++i) {
    const auto answer = ask(query(0x1234));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(*answer, answer_to(query(0x1234)));
  }
  EXPECT_FALSE(ids[0] == 0x1234 && ids[1] == 0x1234 && ids[2] == 0x1234);
}

TEST_P(RelayQuestion, BelievesOnlyAnswersToItsQuestion) {
  Resolver resolver(loop_, [](Bytes message) -> std::vector<ByteVector> {
    ByteVector other_id = answer_to(message, 0, 1);
    other_id[0] ^= 1;
    ByteVector other_name = answer_to(query(load_be16(message.data()), 'b'), 0, 2);
    ByteVector no_response(message.begin(), message.end());
    ByteVector short_one = {message[0], message[1], 0x80};
    return {other_id, other_name, no_response, short_one, {}, answer_to(message, 0, 3)};
  });
  start(resolver);
  const auto answer = ask(query(7));
  ASSERT_TRUE(answer);
  EXPECT_EQ(*answer, answer_to(query(7), 0, 3));
}

TEST_P(RelayQuestion, AsksOverTcpWhatWasTruncated) {
  constexpr size_t kLarge = 60000;
  Resolver resolver(
      loop_,
      [](Bytes message) -> std::vector<ByteVector> {
        ByteVector truncated = answer_to(message, 0, 0);
        truncated[2] |= 2;
        return {truncated};
      },
      [](Bytes message) -> std::vector<ByteVector> { return {answer_to(message, 0, kLarge)}; });
  start(resolver);
  const auto answer = ask(query(9));
  ASSERT_TRUE(answer);
  EXPECT_EQ(*answer, answer_to(query(9), 0, kLarge));
  EXPECT_EQ(resolver.tcp_queries, 1u);
}

TEST_P(RelayQuestion, AsksAgainAfterSilenceAndAfterAFailure) {
  int round = 0;
  Resolver resolver(loop_, [&](Bytes message) -> std::vector<ByteVector> {
    ++round;
    if (round == 1) return {};
    if (round == 2) return {answer_to(message, 2)};
    return {answer_to(message, 3)};
  });
  start(resolver);
  const auto answer = ask(query(11));
  ASSERT_TRUE(answer);
  EXPECT_EQ(*answer, answer_to(query(11), 3));
  EXPECT_EQ(round, 3);
}

TEST_P(RelayQuestion, PassesTheFailureOnIfNoOneKnowsBetter) {
  Resolver resolver(
      loop_, [](Bytes message) -> std::vector<ByteVector> { return {answer_to(message, 5)}; });
  start(resolver);
  const auto answer = ask(query(12));
  ASSERT_TRUE(answer);
  EXPECT_EQ(*answer, answer_to(query(12), 5));
}

TEST_P(RelayQuestion, SaysThatNobodyAnswers) {
  Resolver resolver(loop_, [](Bytes) -> std::vector<ByteVector> { return {}; });
  start(resolver);
  const auto answer = ask(query(13));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::host_unreachable);
  EXPECT_EQ(resolver.udp_queries, 4u);
}

TEST_P(RelayQuestion, RefusesWhatIsNoQuestion) {
  Resolver resolver(loop_, [](Bytes) -> std::vector<ByteVector> { return {}; });
  start(resolver);
  EXPECT_FALSE(ask({1, 2, 3}));
  EXPECT_FALSE(ask(answer_to(query(14))));
  EXPECT_EQ(resolver.udp_queries, 0u);
}

TEST_P(RelayQuestion, AnswersManyInWhateverOrder) {
  std::vector<ByteVector> held;
  Resolver resolver(loop_,
                    [&](Bytes message) -> std::vector<ByteVector> { return {answer_to(message)}; });
  start(resolver);
  size_t right = 0;
  std::vector<std::unique_ptr<net::Attempt>> attempts;
  for (uint16_t id = 0; id < 100; ++id) {
    const ByteVector message = query(id, static_cast<char>('a' + id % 26));
    attempts.push_back(client_->resolve(message, [&right, message](Result<ByteVector> answer) {
      right += answer && *answer == answer_to(message);
    }));
  }
  EXPECT_TRUE(run_until(loop_, [&] { return right == 100; }));
}

}  // namespace
}  // namespace tunproxy::testing
