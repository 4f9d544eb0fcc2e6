// Carrier: which way datagrams go, with a server whose helper and udpgw the test plays.
#include "core/udp/carrier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <utility>

#include "core/io/timer.h"
#include "core/udp/relay_bootstrap.h"
#include "core/udp/relay_wire.h"
#include "tests/unit/dns/fake_name_service.h"
#include "tests/unit/udp/fake_udpgw.h"

namespace tunproxy::udp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using State = Carrier::State;
using StreamDone = net::Done<std::unique_ptr<net::Stream>>;
using testing::MemoryStream;
using testing::run_until;

const Endpoint kPeer = *Endpoint::parse("192.0.2.1:4500");

/// A relay helper that greets, opens every association and answers pings, unless it is `mute`.
class FakeRelay {
 public:
  explicit FakeRelay(std::unique_ptr<MemoryStream> stream) : stream_(std::move(stream)) {
    stream_->on_progress([this] { on_progress(); });
  }
  void speak() {
    mute = false;
    on_progress();
  }
  void say(const RelayBody& body) {
    ByteVector bytes;
    EXPECT_TRUE(encode({0, body}, bytes));
    EXPECT_EQ(stream_->write(bytes), bytes.size());
  }

  bool mute = false;
  std::vector<std::string> datagrams;
  std::vector<Rules> rules;

 private:
  void on_progress() {
    if (mute) return;
    append(incoming_, as_bytes(stream_->read_all()));
    if (incoming_.size() < skip_) return;
    Bytes rest = Bytes(incoming_).subspan(std::exchange(skip_, 0));
    for (auto m = decode_relay(rest); m && *m; m = decode_relay(rest)) hear(**m);
    incoming_ = ByteVector(rest.begin(), rest.end());
  }
  void hear(const RelayMessage& message) {
    ByteVector reply;
    if (const auto* hello = std::get_if<Hello>(&message.body)) {
      reply = relay_magic(hello->nonce);
      EXPECT_TRUE(encode({0, Hello{Hello::kVersion, hello->nonce, 0, 256}}, reply));
    } else if (std::holds_alternative<UdpAssociate>(message.body)) {
      EXPECT_TRUE(encode({message.connection, UdpAssociateOpened{kPeer}}, reply));
    } else if (const auto* ping = std::get_if<Ping>(&message.body)) {
      EXPECT_TRUE(encode({0, Pong{ping->token}}, reply));
    } else if (const auto* packet = std::get_if<UdpPacket>(&message.body)) {
      datagrams.emplace_back(as_text(packet->data));
    } else if (const auto* told = std::get_if<Rules>(&message.body)) {
      rules.push_back(*told);
    }
    EXPECT_EQ(stream_->write(reply), reply.size());
  }

  std::unique_ptr<MemoryStream> stream_;
  size_t skip_ = relay_program().size();
  ByteVector incoming_;
};

/// What the server does with a command or a connection: nothing, an error, or a helper.
class Outcome final : public net::Attempt {
 public:
  Outcome(io::Loop& loop, StreamDone done, std::optional<Error> error,
          std::unique_ptr<net::Stream> stream)
      : done_(std::move(done)),
        error_(std::move(error)),
        stream_(std::move(stream)),
        deliver_(loop, [this] { deliver(); }) {
    if (error_ || stream_) deliver_.schedule();
  }

 private:
  void deliver() {
    const auto done = std::move(done_);
    if (error_) return done(*error_);
    done(std::move(stream_));
  }

  StreamDone done_;
  std::optional<Error> error_;
  std::unique_ptr<net::Stream> stream_;
  io::Task deliver_;
};

struct Flow {
  std::vector<std::string> received;
  std::optional<Error> failure;
  std::optional<Error> closed;
  std::unique_ptr<net::DatagramSession> session;
  std::unique_ptr<net::Attempt> attempt;
  bool settled() const { return session != nullptr || failure; }
};

class CarrierTest : public ::testing::Test, private CarrierWay {
 protected:
  CarrierTest() {
    options_.first_pause = 5ms;
    options_.longest_pause = 40ms;
    options_.probe_timeout = 20s;  // where nobody is silent
    options_.head_start = 20s;
    options_.relay_options.queue.age = options_.udpgw_options.queue.age = 60s;
  }

  void make() {
    carrier_ = std::make_unique<Carrier>(loop_, options_, static_cast<CarrierWay&>(*this));
    carrier_->on_state([this](State state) { states_.push_back(state); });
    carrier_->probe();
  }
  bool reach(State state) {
    return run_until(loop_, [&] { return carrier_->state() == state; });
  }
  void associate(Flow& flow) {
    flow.attempt = carrier_->associate(
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
    associate(flow);
    run_until(loop_, [&] { return flow.settled(); });
  }

  /// The server, or what was asked, is silent for so long.
  void have_little_patience(Duration timeout = 50ms) {
    options_.probe_timeout = timeout;
    options_.head_start = 5ms;
  }
  bool wait(Duration time) {
    const Instant then = loop_.now();
    return run_until(loop_, [&] { return loop_.now() - then > time; });
  }

  enum class Answer { none, error, dead_stream, stream };
  struct Way {
    Answer answer = Answer::stream;
    Error error;
    size_t tried = 0;
    void refuse(ErrorCode code, std::string why) {
      answer = Answer::error;
      error = {code, std::move(why)};
    }
  };

  io::Loop loop_;
  CarrierOptions options_;
  Way helper_;
  Way gateway_;
  std::string command_;
  std::optional<Target> connected_to_;
  std::deque<FakeRelay> relays_;
  std::deque<FakeUdpgw> gateways_;
  std::vector<State> states_;
  std::unique_ptr<Carrier> carrier_;
  bool mute_ = false;  // helpers that are yet to be started

  bool sound_ = true;

 private:
  std::unique_ptr<net::Attempt> run(std::string command, StreamDone done) override {
    command_ = std::move(command);
    ++helper_.tried;
    return answer(helper_, std::move(done),
                  [this](auto far) { relays_.emplace_back(std::move(far)).mute = mute_; });
  }
  std::unique_ptr<net::Attempt> connect(const Target& target, StreamDone done) override {
    connected_to_ = target;
    ++gateway_.tried;
    return answer(gateway_, std::move(done),
                  [this](auto far) { gateways_.emplace_back(std::move(far)); });
  }
  bool sound() const override { return sound_; }
  template <typename Serve>
  std::unique_ptr<net::Attempt> answer(const Way& way, StreamDone done, Serve serve) {
    std::optional<Error> error;
    std::unique_ptr<net::Stream> near_end;
    if (way.answer == Answer::error) error = way.error;
    if (way.answer == Answer::stream || way.answer == Answer::dead_stream) {
      auto [near, far] = MemoryStream::make_pair(loop_, {.capacity = 1024 * 1024});
      if (way.answer == Answer::stream) serve(std::move(far));
      near_end = std::move(near);
    }
    return std::make_unique<Outcome>(loop_, std::move(done), std::move(error), std::move(near_end));
  }
};

TEST(CarrierDefaults, AreTheDocumentedOnes) {
  EXPECT_EQ(UdpgwOptions{}.keepalive, 10s);
  EXPECT_EQ(CarrierOptions{}.probe_timeout, 2s);
  for (const QueueLimits& limits : {UdpgwOptions{}.queue, RelayOptions{}.queue}) {
    EXPECT_EQ(limits.age, 100ms);
    EXPECT_EQ(limits.datagrams, 64U);
  }
}

TEST_F(CarrierTest, TheRelayIsTheFirst) {
  make();
  ASSERT_TRUE(reach(State::relay));
  EXPECT_NE(carrier_->relay(), nullptr);
  EXPECT_EQ(gateway_.tried, 0U);
  Flow flow;
  open(flow);
  EXPECT_NE(flow.session, nullptr);
  EXPECT_EQ(carrier_->why_not(), "");
}

TEST_F(CarrierTest, TheUdpgwIsTheSecond) {
  helper_.refuse(ErrorCode::not_allowed, "no commands here");
  make();
  Flow flow;
  associate(flow);  // waits for the outcome
  ASSERT_TRUE(reach(State::udpgw));
  EXPECT_EQ(connected_to_->to_string(), "127.0.0.1:7300");
  EXPECT_EQ(carrier_->why_not(), "relay helper: no commands here");
  EXPECT_EQ(carrier_->relay(), nullptr);
  ASSERT_TRUE(run_until(loop_, [&] { return flow.settled(); }));
  ASSERT_NE(flow.session, nullptr);
  flow.session->send(kPeer, as_bytes("up"));
  ASSERT_TRUE(run_until(loop_, [&] { return gateways_[0].frames.size() == 2; }));
  gateways_[0].answer("down");
  ASSERT_TRUE(run_until(loop_, [&] { return !flow.received.empty(); }));
  EXPECT_THAT(states_, ElementsAre(State::udpgw));
}

TEST_F(CarrierTest, NamesAreLookedUpForAUdpgwOnly) {
  testing::FakeNameService names;
  for (const bool relay : {true, false}) {
    options_.relay = relay;
    make();
    carrier_->resolve_by(names, kPeer);
    ASSERT_TRUE(reach(relay ? State::relay : State::udpgw));
    Flow flow;
    open(flow);
    ASSERT_NE(flow.session, nullptr);
    flow.session->send(*Target::parse("a.example:443"), as_bytes("x"));
    EXPECT_EQ(names.calls.size(), relay ? 0U : 1U);
  }
}

TEST_F(CarrierTest, TellsTheHelperItsLimits) {
  options_.helper = {90s, 12};
  make();
  ASSERT_TRUE(reach(State::relay));
  EXPECT_THAT(command_, HasSubstr("tunproxy-relay --stdio --idle-ms 90000 --max-associations 12;"));
  EXPECT_THAT(command_, HasSubstr("\" --idle-ms 90000 --max-associations 12;"));
}

TEST_F(CarrierTest, OnlyWhatMayBeUsedIsTried) {
  options_.relay = false;
  options_.udpgw_at = Target::from_host("gw.example", 7400);
  make();
  ASSERT_TRUE(reach(State::udpgw));
  EXPECT_EQ(helper_.tried, 0U);
  EXPECT_EQ(connected_to_->to_string(), "gw.example:7400");
  options_.relay = true;
  options_.udpgw = false;
  gateway_.tried = 0;
  helper_.refuse(ErrorCode::not_allowed, "no");
  make();
  ASSERT_TRUE(reach(State::off));
  EXPECT_EQ(gateway_.tried, 0U);
}

TEST_F(CarrierTest, AllOffRefusesWithTheReasons) {
  helper_.refuse(ErrorCode::not_allowed, "no commands");
  gateway_.refuse(ErrorCode::refused, "Connection refused");
  make();
  Flow waiting;
  associate(waiting);
  ASSERT_TRUE(reach(State::off));
  Flow late;
  open(late);
  ASSERT_TRUE(run_until(loop_, [&] { return waiting.settled(); }));
  for (const Flow* flow : {&waiting, &late}) {
    ASSERT_TRUE(flow->failure);
    EXPECT_EQ(flow->failure->code, ErrorCode::command_not_supported);
    EXPECT_EQ(flow->failure->message,
              "relay helper: no commands; udpgw at 127.0.0.1:7300: Connection refused");
  }
  ASSERT_TRUE(wait(50ms));  // neither will be there later
  EXPECT_EQ(helper_.tried, 1U);
  EXPECT_EQ(gateway_.tried, 1U);
}

TEST_F(CarrierTest, NothingWantedIsOff) {
  options_.relay = options_.udpgw = false;
  make();
  EXPECT_EQ(carrier_->state(), State::off);
  EXPECT_THAT(carrier_->why_not(), HasSubstr("switched off"));
}

TEST_F(CarrierTest, SilenceIsNotWaitedFor) {
  have_little_patience();
  helper_.answer = Answer::none;
  gateway_.answer = Answer::none;
  make();
  ASSERT_TRUE(reach(State::off));
  EXPECT_THAT(carrier_->why_not(), HasSubstr("did not answer in time; udpgw"));
}

TEST_F(CarrierTest, FallsBackWhenTheRelayDiesAndReturns) {
  make();
  ASSERT_TRUE(reach(State::relay));
  Flow before;
  open(before);
  ASSERT_NE(before.session, nullptr);
  helper_.refuse(ErrorCode::general, "no processes left");
  relays_.clear();
  ASSERT_TRUE(reach(State::udpgw));
  EXPECT_TRUE(before.closed);
  EXPECT_THAT(carrier_->why_not(), HasSubstr("relay helper: "));
  const size_t tried = helper_.tried;
  ASSERT_TRUE(run_until(loop_, [&] { return helper_.tried > tried + 1; }));  // again and again
  EXPECT_EQ(carrier_->state(), State::udpgw);
  Flow meanwhile;
  open(meanwhile);
  ASSERT_NE(meanwhile.session, nullptr);
  helper_.answer = Answer::stream;
  ASSERT_TRUE(reach(State::relay));
  EXPECT_THAT(states_, ElementsAre(State::relay, State::udpgw, State::relay));
  meanwhile.session->send(kPeer, as_bytes("x"));  // stays with what it has
  ASSERT_TRUE(run_until(loop_, [&] { return gateways_[0].frames.size() == 2; }));
  EXPECT_FALSE(meanwhile.closed);
}

TEST_F(CarrierTest, WhatDoesNotStartIsNotTriedAgain) {
  helper_.answer = Answer::dead_stream;
  gateway_.refuse(ErrorCode::refused, "Connection refused");
  make();
  ASSERT_TRUE(reach(State::off));
  ASSERT_TRUE(wait(50ms));
  EXPECT_EQ(helper_.tried, 1U);
}

TEST_F(CarrierTest, WhatWorkedIsTriedAgainWhateverItSays) {
  make();
  ASSERT_TRUE(reach(State::relay));
  helper_.answer = Answer::dead_stream;
  relays_.clear();
  ASSERT_TRUE(reach(State::udpgw));
  gateway_.refuse(ErrorCode::refused, "Connection refused");
  gateways_.clear();
  for (const Way* way : {&helper_, &gateway_}) {
    const size_t tried = way->tried;
    ASSERT_TRUE(run_until(loop_, [&] { return way->tried >= tried + 2; }));
  }
  gateway_.answer = Answer::stream;
  ASSERT_TRUE(reach(State::udpgw));
  helper_.answer = Answer::stream;
  ASSERT_TRUE(reach(State::relay));
}

TEST_F(CarrierTest, PausesGrowAlsoWhileAHelperLivesForMomentsOnly) {
  options_.udpgw = false;
  options_.first_pause = 50ms;  // a life of ten of these is more than a moment
  options_.longest_pause = 2s;
  make();
  const Instant then = loop_.now();
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(reach(State::relay));
    relays_.clear();
    ASSERT_TRUE(reach(State::off));
  }
  ASSERT_TRUE(reach(State::relay));
  EXPECT_GE(loop_.now() - then, 50ms + 100ms + 200ms + 400ms);
}

TEST_F(CarrierTest, AUdpgwIsConnectedToAgain) {
  options_.relay = false;
  make();
  ASSERT_TRUE(reach(State::udpgw));
  Flow flow;
  open(flow);
  gateway_.refuse(ErrorCode::refused, "Connection refused");
  gateways_.clear();
  ASSERT_TRUE(run_until(loop_, [&] { return gateway_.tried == 3; }));
  EXPECT_TRUE(flow.closed);
  gateway_.answer = Answer::stream;
  ASSERT_TRUE(reach(State::udpgw));
  EXPECT_EQ(carrier_->why_not(), "");
}

TEST_F(CarrierTest, TheOnlyWayIsWaitedFor) {
  options_.relay = false;
  gateway_.refuse(ErrorCode::refused, "Connection refused");
  make();
  ASSERT_TRUE(run_until(loop_, [&] { return gateway_.tried == 3; }));
  gateway_.answer = Answer::stream;
  ASSERT_TRUE(reach(State::udpgw));
}

TEST_F(CarrierTest, AProbeUnderWaySurvivesTheDeathOfTheUdpgw) {
  have_little_patience(200ms);
  helper_.answer = Answer::none;
  make();
  ASSERT_TRUE(reach(State::udpgw));
  const size_t tried = helper_.tried;
  ASSERT_TRUE(run_until(loop_, [&] { return helper_.tried > tried; }));
  gateways_.clear();
  ASSERT_TRUE(reach(State::probing));
  EXPECT_EQ(helper_.tried, tried + 1);
  ASSERT_TRUE(reach(State::udpgw));
}

TEST_F(CarrierTest, ANewConnectionMeansANewLook) {
  helper_.refuse(ErrorCode::not_allowed, "no commands");
  make();
  ASSERT_TRUE(reach(State::udpgw));
  helper_.answer = Answer::stream;
  carrier_->probe();
  EXPECT_EQ(carrier_->state(), State::probing);
  ASSERT_TRUE(reach(State::relay));
}

TEST_F(CarrierTest, WaitingIsBoundedAndMayBeCancelled) {
  have_little_patience(2s);
  helper_.answer = Answer::none;
  make();
  std::deque<Flow> flows(Carrier::kMaxWaiting + 1);
  for (Flow& flow : flows) associate(flow);
  flows[0].attempt.reset();
  ASSERT_TRUE(run_until(loop_, [&] { return flows.back().failure.has_value(); }));
  EXPECT_EQ(flows.back().failure->code, ErrorCode::command_not_supported);
  ASSERT_TRUE(reach(State::udpgw));
  ASSERT_TRUE(run_until(loop_, [&] { return flows[1].session != nullptr; }));
  EXPECT_FALSE(flows[0].settled());
}

TEST_F(CarrierTest, AUdpgwThatComesFirstWaitsForTheRelay) {
  options_.head_start = 5ms;
  mute_ = true;
  make();
  Flow flow;
  associate(flow);
  ASSERT_TRUE(run_until(loop_, [&] { return !gateways_.empty() && !gateways_[0].frames.empty(); }));
  ASSERT_TRUE(wait(20ms));
  EXPECT_EQ(carrier_->state(), State::probing);
  EXPECT_FALSE(flow.settled());
  relays_[0].speak();
  ASSERT_TRUE(reach(State::relay));
  EXPECT_THAT(states_, ElementsAre(State::relay));
  ASSERT_TRUE(run_until(loop_, [&] { return flow.settled(); }));
  EXPECT_NE(flow.session, nullptr);
}

TEST_F(CarrierTest, AUdpgwServesWhileTheHelperIsStillAwaited) {
  options_.probe_timeout = 500ms;  // enough for the udpgw on a busy machine
  options_.head_start = 5ms;
  mute_ = true;
  make();
  ASSERT_TRUE(reach(State::udpgw));
  mute_ = false;
  ASSERT_TRUE(reach(State::relay));
  EXPECT_THAT(states_, ElementsAre(State::udpgw, State::relay));
}

// A slow line takes its time for the helper's program.
TEST_F(CarrierTest, EachLookIsMorePatientThanTheOneBefore) {
  options_.udpgw = false;
  options_.probe_timeout = 20ms;
  mute_ = true;
  make();
  ASSERT_TRUE(reach(State::off));
  io::Timer awaken(loop_, [this] { relays_.back().speak(); });
  size_t seen = relays_.size();
  ASSERT_TRUE(run_until(loop_, [&] {
    if (relays_.size() > seen) {
      seen = relays_.size();
      awaken.start(80ms);
    }
    return carrier_->state() == State::relay;
  }));
  EXPECT_GE(helper_.tried, 3U);
}

TEST_F(CarrierTest, SuspendedItLetsAssociationsWait) {
  options_.udpgw = false;
  make();
  ASSERT_TRUE(reach(State::relay));
  carrier_->suspend();
  EXPECT_EQ(carrier_->relay(), nullptr);
  relays_.clear();  // with its connection
  Flow flow;
  associate(flow);
  ASSERT_TRUE(wait(100ms));
  EXPECT_FALSE(flow.settled());
  EXPECT_EQ(helper_.tried, 1U);
  carrier_->probe();
  ASSERT_TRUE(run_until(loop_, [&] { return flow.settled(); }));
  EXPECT_NE(flow.session, nullptr);
  EXPECT_THAT(states_, ElementsAre(State::relay, State::relay));
}

TEST_F(CarrierTest, TheSilenceOfTheConnectionDecidesNothing) {
  have_little_patience(10ms);
  helper_.answer = gateway_.answer = Answer::none;
  sound_ = false;
  make();
  Flow flow;
  associate(flow);
  ASSERT_TRUE(wait(150ms));
  EXPECT_EQ(carrier_->state(), State::probing);
  EXPECT_FALSE(flow.settled());
  sound_ = true;
  ASSERT_TRUE(reach(State::off));
  EXPECT_TRUE(run_until(loop_, [&] { return flow.failure.has_value(); }));
}

TEST_F(CarrierTest, RenewedItKeepsWhatSessionsHave) {
  make();
  ASSERT_TRUE(reach(State::relay));
  Flow before;
  open(before);
  const auto old = carrier_->relay();
  carrier_->enforce({{true, *Cidr::parse("10.0.0.0/8"), {}}});
  carrier_->renew();
  EXPECT_EQ(carrier_->relay(), old) << "until there is a new one";
  ASSERT_TRUE(run_until(loop_, [&] { return carrier_->relay() != old; }));
  Flow after;
  open(after);
  before.session->send(kPeer, as_bytes("old"));
  after.session->send(kPeer, as_bytes("new"));
  ASSERT_TRUE(run_until(
      loop_, [&] { return relays_[0].datagrams.size() == 1 && relays_[1].datagrams.size() == 1; }));
  EXPECT_EQ(relays_[1].datagrams[0], "new");
  EXPECT_FALSE(before.closed);
  carrier_->enforce({});  // both hear of it
  ASSERT_TRUE(run_until(
      loop_, [&] { return relays_[0].rules.size() == 2 && relays_[1].rules.size() == 2; }));
  EXPECT_EQ(relays_[1].rules[0].rules.size(), 1U);
  EXPECT_TRUE(relays_[0].rules[1].rules.empty());
}

TEST_F(CarrierTest, WhatCannotBeRenewedStays) {
  make();
  ASSERT_TRUE(reach(State::relay));
  const auto old = carrier_->relay();
  helper_.refuse(ErrorCode::not_allowed, "no more");
  carrier_->renew();
  ASSERT_TRUE(wait(50ms));
  EXPECT_EQ(carrier_->relay(), old);
  EXPECT_EQ(carrier_->state(), State::relay);
  EXPECT_EQ(gateway_.tried, 0U);
}

TEST_F(CarrierTest, ASilentRelayIsReplacedAndItsSessionsBeginAnew) {
  options_.relay_options.silence = {20ms, 20ms, 60s};
  make();
  ASSERT_TRUE(reach(State::relay));
  bool told = false;
  carrier_->on_silent([&] { told = true; });
  Flow flow;
  open(flow);
  relays_[0].mute = true;
  helper_.refuse(ErrorCode::general, "not yet");  // it is tried again
  const auto old = carrier_->relay();
  flow.session->send(kPeer, as_bytes("anybody?"));
  ASSERT_TRUE(run_until(loop_, [&] { return told && helper_.tried >= 3; }));
  EXPECT_EQ(carrier_->state(), State::relay);
  EXPECT_FALSE(flow.closed) << "it may yet answer";
  helper_.answer = Answer::stream;
  ASSERT_TRUE(run_until(loop_, [&] { return flow.closed.has_value(); }));
  EXPECT_NE(carrier_->relay(), old);
  Flow after;
  open(after);
  EXPECT_NE(after.session, nullptr);
}

TEST_F(CarrierTest, CountsWhatWasDroppedAlsoByThoseThatAreGone) {
  make();
  ASSERT_TRUE(reach(State::relay));
  Flow flow;
  open(flow);
  relays_[0].say(Stats{.denied = 5});
  ASSERT_TRUE(run_until(loop_, [&] { return carrier_->drops()["helper/denied"] == 5; }));
  relays_.clear();
  ASSERT_TRUE(run_until(loop_, [&] { return flow.closed.has_value(); }));
  flow.session->send(kPeer, as_bytes("too late"));
  EXPECT_EQ(carrier_->drops()["relay/association_gone"], 1U);
  flow.session.reset();
  ASSERT_TRUE(reach(State::relay) || reach(State::udpgw));
  EXPECT_EQ(carrier_->drops()["relay/association_gone"], 1U);
  EXPECT_EQ(carrier_->drops()["helper/denied"], 5U);
}

}  // namespace
}  // namespace tunproxy::udp
