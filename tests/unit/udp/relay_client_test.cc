// RelayClient against a helper that the test plays, over a stream in memory.
#include "core/udp/relay_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "tests/support/memory_stream.h"

namespace tunproxy::udp {
namespace {

using ::testing::HasSubstr;
using testing::Manners;
using testing::MemoryStream;
using testing::run_until;

const Endpoint kPeer{IpAddress::v4(std::array<uint8_t, 4>{192, 0, 2, 1}.data()), 53};

/// The far end of the stream, as the test wants it to be.
class FakeHelper {
 public:
  explicit FakeHelper(std::unique_ptr<MemoryStream> stream) : stream_(std::move(stream)) {
    stream_->on_progress([this] { on_progress(); });
  }
  void print(std::string_view text) { write(as_bytes(text)); }
  void greet(uint32_t max_associations = 256) {
    write(relay_magic(hello.nonce));
    say(0, Hello{Hello::kVersion, hello.nonce, 0, max_associations});
  }
  void say(uint32_t id, const RelayBody& body) {
    ByteVector bytes;
    ASSERT_TRUE(encode(RelayMessage{id, body}, bytes));
    write(bytes);
  }
  void write(Bytes bytes) {
    append(outgoing_, bytes);
    on_progress();
  }
  /// The last message of a kind that came.
  template <typename Body>
  std::optional<uint32_t> asked() const {
    for (auto at = messages.rbegin(); at != messages.rend(); ++at) {
      if (std::holds_alternative<Body>(at->second)) return at->first;
    }
    return std::nullopt;
  }
  template <typename Body>
  size_t count() const {
    return static_cast<size_t>(std::count_if(messages.begin(), messages.end(), [](const auto& m) {
      return std::holds_alternative<Body>(m.second);
    }));
  }
  MemoryStream& stream() { return *stream_; }
  void vanish() { stream_.reset(); }

  Hello hello;
  bool reads = true;
  size_t program = 0;                                    // bytes to pass over first
  std::vector<std::pair<uint32_t, RelayBody>> messages;  // without their spans
  std::vector<std::string> datagrams;

 private:
  void on_progress() {
    outgoing_.erase(outgoing_.begin(),
                    outgoing_.begin() + static_cast<ptrdiff_t>(stream_->write(outgoing_)));
    if (!reads) return;
    append(incoming_, as_bytes(stream_->read_all()));
    if (incoming_.size() < program) return;
    Bytes rest = Bytes(incoming_).subspan(std::exchange(program, 0));
    for (auto m = decode_relay(rest); m && *m; m = decode_relay(rest)) {
      if (const auto* said = std::get_if<Hello>(&(*m)->body)) hello = *said;
      if (const auto* packet = std::get_if<UdpPacket>(&(*m)->body)) {
        datagrams.emplace_back(as_text(packet->data));
      }
      messages.emplace_back((*m)->connection, (*m)->body);
    }
    incoming_ = ByteVector(rest.begin(), rest.end());
  }

  std::unique_ptr<MemoryStream> stream_;
  ByteVector incoming_;
  ByteVector outgoing_;
};

class RelayClientTest : public ::testing::TestWithParam<Manners> {
 protected:
  void begin(Manners manners = {}) {
    auto [near, far] = MemoryStream::make_pair(loop_, manners);
    helper_ = std::make_unique<FakeHelper>(std::move(far));
    helper_->program = options_.program.size();
    attempt_ = RelayClient::start(loop_, std::move(near), options_,
                                  [this](Result<std::unique_ptr<RelayClient>> result) {
                                    if (result) {
                                      client_ = *std::move(result);
                                    } else {
                                      error_ = result.error();
                                    }
                                  });
  }
  /// A busy machine lets no datagram grow too old.
  static RelayOptions patient() {
    RelayOptions options;
    options.queue.age = 60s;
    return options;
  }
  bool finish() {
    return run_until(loop_, [this] { return client_ != nullptr || error_; });
  }
  /// Why it did not start; throws if it did.
  const Error& failure() {
    if (!finish() || !error_) throw std::runtime_error("no error came");
    return *error_;
  }
  void start(Manners manners = {}, uint32_t max_associations = 256) {
    begin(manners);
    run_until(loop_, [this] { return helper_->count<Hello>() == 1; });
    helper_->greet(max_associations);
    if (!finish() || client_ == nullptr) throw std::runtime_error("the client did not start");
    client_->on_closed([this](const Error& error) { closed_ = error; });
  }
  struct Flow {
    std::vector<std::string> received;
    std::optional<Error> failure;
    std::optional<Error> closed;
    std::unique_ptr<net::DatagramSession> session;
    std::unique_ptr<net::Attempt> attempt;
    bool settled() const { return session != nullptr || failure; }
  };
  void associate(Flow& flow) {
    flow.attempt = client_->associate(
        [&flow](const Endpoint&, Bytes data) { flow.received.emplace_back(as_text(data)); },
        [&flow](const Error& error) { flow.closed = error; },
        [&flow](Result<std::unique_ptr<net::DatagramSession>> result) {
          if (result) {
            flow.session = *std::move(result);
          } else {
            flow.failure = result.error();
          }
        });
  }
  void open(Flow& flow) {
    const size_t before = helper_->count<UdpAssociate>();
    associate(flow);
    ASSERT_TRUE(run_until(loop_, [&] { return helper_->count<UdpAssociate>() > before; }));
    helper_->say(*helper_->asked<UdpAssociate>(), UdpAssociateOpened{kPeer});
    run_until(loop_, [&] { return flow.settled(); });
    if (flow.session == nullptr) throw std::runtime_error("no association");
  }
  /// Lets everything that is under way arrive.
  void settle() {
    for (int i = 0; i < 20; ++i) loop_.run_once(false);
  }

  io::Loop loop_;
  RelayOptions options_ = patient();
  std::unique_ptr<FakeHelper> helper_;
  std::unique_ptr<net::Attempt> attempt_;
  std::unique_ptr<RelayClient> client_;
  std::optional<Error> error_;
  std::optional<Error> closed_;
};

INSTANTIATE_TEST_SUITE_P(Streams, RelayClientTest,
                         ::testing::Values(Manners{}, Manners{.peek_at_most = 1},
                                           Manners{.write_at_most = 1},
                                           Manners{.peek_at_most = 3, .capacity = 5}),
                         [](const auto& test) { return "Manners" + std::to_string(test.index); });

TEST_P(RelayClientTest, SpeaksThroughAnyStream) {
  options_.program.assign(300, '#');
  begin(GetParam());
  ASSERT_TRUE(run_until(loop_, [this] { return helper_->count<Hello>() == 1; }));
  helper_->print("Last login: yesterday\r\n\ntunproxy-relay 0000\n");
  helper_->greet();
  ASSERT_TRUE(finish());
  ASSERT_NE(client_, nullptr) << error_->message;
  Flow flow;
  open(flow);
  flow.session->send(kPeer, as_bytes("up"));
  ASSERT_TRUE(run_until(loop_, [&] { return helper_->datagrams.size() == 1; }));
  EXPECT_EQ(helper_->datagrams[0], "up");
  helper_->say(*helper_->asked<UdpAssociate>(), UdpPacket{kPeer, as_bytes("down")});
  ASSERT_TRUE(run_until(loop_, [&] { return flow.received.size() == 1; }));
  EXPECT_EQ(flow.received[0], "down");
}

TEST_F(RelayClientTest, GivesUpOnAFarEndThatSaysNothing) {
  options_.probe_timeout = 50ms;
  begin();
  EXPECT_EQ(failure().code, ErrorCode::timed_out);
}

TEST_F(RelayClientTest, TellsWhatTheFarEndSaidInstead) {
  begin();
  helper_->print("Hello\n\x1b[1mThis account is currently not available.\n");
  helper_->stream().finish();
  EXPECT_THAT(failure().message, HasSubstr("This account is currently not available."));
  EXPECT_EQ(error_->message.find('\x1b'), std::string::npos);
}

TEST_F(RelayClientTest, GivesUpOnAFarEndThatSaysTooMuch) {
  begin({.capacity = 1024 * 1024});
  helper_->print(std::string(kRelayMaxBanner + 1000, 'x'));
  EXPECT_EQ(failure().code, ErrorCode::protocol);
}

TEST_F(RelayClientTest, WantsItsOwnNonceInTheHello) {
  begin();
  ASSERT_TRUE(run_until(loop_, [this] { return helper_->count<Hello>() == 1; }));
  helper_->write(relay_magic(helper_->hello.nonce));
  helper_->say(0, Hello{});
  EXPECT_EQ(failure().code, ErrorCode::protocol);
}

TEST_F(RelayClientTest, CanBeGivenUpWhileItStarts) {
  begin();
  settle();
  attempt_.reset();
  settle();
  EXPECT_FALSE(client_ || error_);
  EXPECT_NE(helper_->stream().error(), nullptr);
}

TEST_F(RelayClientTest, ClosesAnAssociationWithItsSession) {
  start();
  Flow flow;
  open(flow);
  const uint32_t id = *helper_->asked<UdpAssociate>();
  flow.session.reset();
  ASSERT_TRUE(run_until(loop_, [&] { return helper_->asked<UdpAssociateClosed>() == id; }));
  helper_->say(id, UdpPacket{kPeer, as_bytes("late")});
  ASSERT_TRUE(run_until(loop_, [&] { return client_->counters().unclaimed == 1; }));
  EXPECT_TRUE(flow.received.empty());
}

TEST_F(RelayClientTest, ClosesAnAssociationThatNobodyWaitsForAnyMore) {
  start();
  Flow flow;
  associate(flow);
  flow.attempt.reset();
  ASSERT_TRUE(run_until(loop_, [&] { return helper_->count<UdpAssociateClosed>() == 1; }));
  helper_->say(*helper_->asked<UdpAssociate>(), UdpAssociateOpened{kPeer});
  settle();
  EXPECT_FALSE(flow.settled());
  EXPECT_EQ(client_->associations(), 0u);
}

TEST_F(RelayClientTest, PassesOnWhyAnAssociationIsRefusedOrClosed) {
  start();
  Flow refused;
  associate(refused);
  ASSERT_TRUE(run_until(loop_, [&] { return helper_->count<UdpAssociate>() == 1; }));
  helper_->say(*helper_->asked<UdpAssociate>(), UdpAssociateClosed{2, ""});
  ASSERT_TRUE(run_until(loop_, [&] { return refused.settled(); }));
  EXPECT_EQ(refused.failure->code, ErrorCode::not_allowed);
  Flow flow;
  open(flow);
  helper_->say(*helper_->asked<UdpAssociate>(), UdpAssociateClosed{6, "idle"});
  ASSERT_TRUE(run_until(loop_, [&] { return flow.closed.has_value(); }));
  EXPECT_EQ(flow.closed->code, ErrorCode::timed_out);
  EXPECT_EQ(flow.closed->message, "idle");
  flow.session->send(kPeer, as_bytes("x"));
  EXPECT_EQ(client_->counters().gone, 1u);
}

TEST_F(RelayClientTest, RespectsTheLimitOfTheHelper) {
  start({}, 1);
  Flow first;
  open(first);
  Flow second;
  associate(second);
  EXPECT_FALSE(second.settled()) << "never from within the call";
  ASSERT_TRUE(run_until(loop_, [&] { return second.settled(); }));
  EXPECT_EQ(second.failure->code, ErrorCode::limit);
  EXPECT_EQ(helper_->count<UdpAssociate>(), 1u);
}

TEST_F(RelayClientTest, DropsTheOldestWhileTheStreamTakesNothing) {
  start({.capacity = 1000});
  Flow flow;
  open(flow);
  helper_->reads = false;
  settle();
  const std::string filler(200, 'x');
  for (int i = 0; i < 300; ++i) flow.session->send(kPeer, as_bytes(std::to_string(i) + filler));
  const auto counters = client_->counters();
  EXPECT_EQ(counters.sent, 300u);
  EXPECT_GE(counters.queue.sum(), 300u - 64 - 1000 / 200 - 1);
  helper_->reads = true;
  const auto last = std::to_string(299) + filler;
  helper_->print("");
  ASSERT_TRUE(run_until(
      loop_, [&] { return !helper_->datagrams.empty() && helper_->datagrams.back() == last; }));
  EXPECT_EQ(helper_->datagrams.size(), 300 - client_->counters().queue.sum());
}

TEST_F(RelayClientTest, SendsAsManyAsTheStreamTakes) {
  start({.capacity = 1024 * 1024});
  Flow flow;
  open(flow);
  for (int i = 0; i < 1000; ++i) flow.session->send(kPeer, as_bytes(std::to_string(i)));
  ASSERT_TRUE(run_until(loop_, [&] { return helper_->datagrams.size() == 1000; }));
  EXPECT_EQ(client_->counters().queue.sum(), 0u);
}

TEST_F(RelayClientTest, AsksTheResolver) {
  start();
  std::vector<Result<ByteVector>> answers;
  const auto done = [&](Result<ByteVector> answer) { answers.push_back(std::move(answer)); };
  const auto first = client_->resolve(as_bytes("question"), done);
  ASSERT_TRUE(run_until(loop_, [&] { return helper_->count<Resolve>() == 1; }));
  const uint32_t id = *helper_->asked<Resolve>();
  helper_->say(id, UdpAssociateOpened{kPeer});  // no answer to this
  helper_->say(id, Resolved{as_bytes("answer")});
  helper_->say(id, Resolved{as_bytes("twice")});
  ASSERT_TRUE(run_until(loop_, [&] { return answers.size() == 1; }));
  EXPECT_EQ(as_text(*answers[0]), "answer");
  const auto second = client_->resolve(as_bytes("question"), done);
  ASSERT_TRUE(run_until(loop_, [&] { return helper_->count<Resolve>() == 2; }));
  helper_->say(*helper_->asked<Resolve>(), Resolved{});
  ASSERT_TRUE(run_until(loop_, [&] { return answers.size() == 2; }));
  EXPECT_EQ(answers[1].error().code, ErrorCode::host_unreachable);
}

TEST_F(RelayClientTest, DoesNotWaitForeverForAnswers) {
  options_.answer_timeout = 50ms;
  start();
  std::optional<Error> silence;
  const auto question = client_->resolve(
      as_bytes("question"), [&](Result<ByteVector> answer) { silence = answer.error(); });
  Flow flow;
  associate(flow);
  ASSERT_TRUE(run_until(loop_, [&] { return silence && flow.settled(); }));
  EXPECT_EQ(silence->code, ErrorCode::timed_out);
  EXPECT_EQ(flow.failure->code, ErrorCode::timed_out);
  ASSERT_TRUE(run_until(loop_, [&] { return helper_->count<UdpAssociateClosed>() == 1; }));
}

TEST_F(RelayClientTest, AsksASilentHelperWhetherItLives) {
  options_.silence = {20ms, 60s, 60s};
  start();
  Flow flow;
  open(flow);
  for (size_t round = 1; round <= 2; ++round) {
    const size_t before = helper_->count<Ping>();
    flow.session->send(kPeer, as_bytes("anybody there?"));
    ASSERT_TRUE(run_until(loop_, [&] { return helper_->count<Ping>() > before; }));
    EXPECT_TRUE(client_->doubted());
    helper_->say(0, Pong{});
    ASSERT_TRUE(run_until(loop_, [&] { return !client_->doubted(); }));
  }
  EXPECT_FALSE(closed_ || client_->silent());
}

TEST_F(RelayClientTest, GivesUpAHelperThatNoLongerAnswers) {
  options_.silence = {10ms, 30ms, 30ms};
  start();
  Flow flow;
  open(flow);
  bool silent = false;
  client_->on_silent([&] { silent = client_->silent() && !closed_; });
  flow.session->send(kPeer, as_bytes("still there?"));
  ASSERT_TRUE(run_until(loop_, [&] { return closed_.has_value(); }));
  EXPECT_TRUE(silent);
  EXPECT_GE(helper_->count<Ping>(), 2U) << "one may get lost";
  EXPECT_EQ(closed_->code, ErrorCode::timed_out);
  EXPECT_TRUE(flow.closed);
}

TEST_F(RelayClientTest, WhoSaysNothingExpectsNothing) {
  options_.silence = {5ms, 5ms, 5ms};
  start();
  const Instant then = loop_.now();
  ASSERT_TRUE(run_until(loop_, [&] { return loop_.now() - then > 100ms; }));
  EXPECT_EQ(helper_->count<Ping>(), 0U);
  EXPECT_FALSE(closed_);
}

TEST_F(RelayClientTest, AnswersPings) {
  start();
  helper_->say(0, Ping{7});
  ASSERT_TRUE(run_until(loop_, [&] { return helper_->count<Pong>() == 1; }));
  EXPECT_EQ(std::get<Pong>(helper_->messages.back().second), Pong{7});
}

TEST_F(RelayClientTest, TellsEveryoneOfAHelperThatBabbles) {
  start();
  Flow open_flow;
  open(open_flow);
  Flow waiting;
  associate(waiting);
  std::optional<Error> unanswered;
  const auto question = client_->resolve(
      as_bytes("question"), [&](Result<ByteVector> answer) { unanswered = answer.error(); });
  helper_->print("Broadcast message from root: the system is going down!");
  ASSERT_TRUE(run_until(loop_, [&] { return closed_.has_value(); }));
  EXPECT_EQ(closed_->code, ErrorCode::protocol);
  EXPECT_TRUE(open_flow.closed && waiting.failure && unanswered);
}

TEST_F(RelayClientTest, SkipsUnknownTypesAndPassesOnAComplaint) {
  start();
  ByteVector unknown = {0, 0, 0, 9, 250, 0, 0, 0, 0, 0, 0, 'h', 'i'};
  helper_->write(unknown);
  helper_->say(0, CloseConnection{1, "no hello"});
  ASSERT_TRUE(run_until(loop_, [&] { return closed_.has_value(); }));
  EXPECT_THAT(closed_->message, HasSubstr("no hello"));
}

TEST_F(RelayClientTest, SessionsMayEndWhileTheClientDoes) {
  start();
  Flow first;
  Flow second;
  open(first);
  open(second);
  // Whichever is told first lets the other one go.
  const auto swap = [&] { (first.closed ? second : first).session.reset(); };
  client_->on_closed([&](const Error&) { swap(); });
  helper_->vanish();
  ASSERT_TRUE(run_until(loop_, [&] { return first.closed && second.closed; }));
  EXPECT_EQ(client_->associations(), 0u);
}

}  // namespace
}  // namespace tunproxy::udp
