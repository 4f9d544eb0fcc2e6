// UdpgwClient against a udpgw that the test plays, over a stream in memory.
#include "core/udp/udpgw_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <stdexcept>
#include <utility>

#include "tests/unit/udp/fake_udpgw.h"

namespace tunproxy::udp {
namespace {

using namespace std::string_literals;
using ::testing::HasSubstr;
using testing::Manners;
using testing::MemoryStream;
using testing::run_until;

Endpoint peer(unsigned number = 1, uint16_t port = 4500) {
  const uint8_t bytes[4] = {192, 0, 2, static_cast<uint8_t>(number)};
  return {IpAddress::v4(bytes), port};
}

struct Flow {
  std::vector<std::pair<Endpoint, std::string>> received;
  std::optional<Error> failure;
  std::optional<Error> closed;
  std::unique_ptr<net::DatagramSession> session;
  std::unique_ptr<net::Attempt> attempt;
};

class UdpgwClientTest : public ::testing::TestWithParam<Manners> {
 protected:
  void begin(Manners manners = {}) {
    auto [near, far] = MemoryStream::make_pair(loop_, manners);
    gateway_ = std::make_unique<FakeUdpgw>(std::move(far));
    attempt_ = UdpgwClient::start(loop_, std::move(near), options_,
                                  [this](Result<std::unique_ptr<UdpgwClient>> result) {
                                    if (result) {
                                      client_ = *std::move(result);
                                    } else {
                                      error_ = result.error();
                                    }
                                  });
  }
  bool settled() {
    return run_until(loop_, [this] { return client_ != nullptr || error_; });
  }
  const Error& failure() {
    if (!settled() || !error_) throw std::runtime_error("no error came");
    return *error_;
  }
  void start(Manners manners = {}) {
    begin(manners);
    if (!settled() || client_ == nullptr) throw std::runtime_error("the client did not start");
    client_->on_closed([this](const Error& error) { closed_ = error; });
    gateway_->frames.clear();
    gateway_->raw.clear();
  }
  void open(Flow& flow) {
    flow.attempt =
        client_->associate([&flow](const Endpoint& from,
                                   Bytes data) { flow.received.emplace_back(from, as_text(data)); },
                           [&flow](const Error& error) { flow.closed = error; },
                           [&flow](Result<std::unique_ptr<net::DatagramSession>> result) {
                             if (result) {
                               flow.session = *std::move(result);
                             } else {
                               flow.failure = result.error();
                             }
                           });
    run_until(loop_, [&] { return flow.session != nullptr || flow.failure; });
  }
  /// A busy machine lets no datagram grow too old.
  static UdpgwOptions patient() {
    UdpgwOptions options;
    options.queue.age = 60s;
    return options;
  }
  /// Sends one datagram and returns its frame.
  WireFrame send(Flow& flow, const Target& to, std::string_view data) {
    const size_t before = gateway_->frames.size();
    flow.session->send(to, as_bytes(data));
    if (!run_until(loop_, [&] { return gateway_->frames.size() > before; })) {
      throw std::runtime_error("no frame came");
    }
    return gateway_->frames.back();
  }
  /// Lets everything that is under way arrive.
  void settle() {
    for (int i = 0; i < 20; ++i) loop_.run_once(false);
  }

  io::Loop loop_;
  UdpgwOptions options_ = patient();
  std::unique_ptr<FakeUdpgw> gateway_;
  std::unique_ptr<net::Attempt> attempt_;
  std::unique_ptr<UdpgwClient> client_;
  std::optional<Error> error_;
  std::optional<Error> closed_;
};

INSTANTIATE_TEST_SUITE_P(Streams, UdpgwClientTest,
                         ::testing::Values(Manners{}, Manners{.peek_at_most = 1},
                                           Manners{.write_at_most = 1},
                                           Manners{.peek_at_most = 3, .capacity = 5}),
                         [](const auto& test) { return "Manners" + std::to_string(test.index); });

TEST_P(UdpgwClientTest, SpeaksThroughAnyStream) {
  start(GetParam());
  Flow flow;
  open(flow);
  send(flow, peer(), "up");
  gateway_->answer("down");
  gateway_->answer("");
  ASSERT_TRUE(run_until(loop_, [&] { return flow.received.size() == 2; }));
  EXPECT_EQ(flow.received[0], std::make_pair(peer(), "down"s));
  EXPECT_EQ(flow.received[1], std::make_pair(peer(), ""s));
}

TEST_F(UdpgwClientTest, EveryByteIsAsTheServerWantsIt) {
  start();
  Flow flow;
  open(flow);
  send(flow, peer(7, 0x1234), "hi");
  EXPECT_EQ(gateway_->raw, "\x0b\x00\x02\x00\x00\xc0\x00\x02\x07\x12\x34hi"s);
  gateway_->raw.clear();
  send(flow, peer(7, 0x1234), "ho");
  EXPECT_EQ(gateway_->raw, "\x0b\x00\x00\x00\x00\xc0\x00\x02\x07\x12\x34ho"s);
  gateway_->raw.clear();
  send(flow, *Endpoint::parse("[2001:db8::5]:53"), "6");
  EXPECT_EQ(gateway_->raw,
            "\x16\x00\x0a\x01\x00\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x05\x00\x35"
            "6"s);
}

TEST_F(UdpgwClientTest, ProbesWithADnsQueryAndNothingElse) {
  begin();
  ASSERT_TRUE(settled());
  ASSERT_NE(client_, nullptr);
  ASSERT_EQ(gateway_->frames.size(), 1U);
  const WireFrame& question = gateway_->frames[0];
  EXPECT_EQ(question.flags, FakeUdpgw::kDns | FakeUdpgw::kRebind);
  EXPECT_EQ(question.data, "tp\x01\x00\0\x01\0\0\0\0\0\0\0\0\x02\0\x01"s);
  Flow flow;
  open(flow);
  EXPECT_EQ(send(flow, peer(1, 53), "query").flags, FakeUdpgw::kRebind);
}

TEST_F(UdpgwClientTest, AsksAgainAndGivesUp) {
  options_.probe_timeout = 1s;  // so that it asks more than once, however busy the machine is
  options_.probe_interval = 10ms;
  begin();
  gateway_->answers_dns = false;
  EXPECT_EQ(failure().code, ErrorCode::timed_out);
  EXPECT_GT(gateway_->count(FakeUdpgw::kDns), 1U);
  EXPECT_EQ(gateway_->count(FakeUdpgw::kRebind), 1U);
}

TEST_F(UdpgwClientTest, OnlyAnAnswerToTheQuestionWillDo) {
  options_.probe_timeout = 1s;
  begin();
  gateway_->answers_dns = false;
  ASSERT_TRUE(run_until(loop_, [&] { return gateway_->frames.size() == 1; }));
  gateway_->answer(gateway_->frames[0].data);  // an echo
  gateway_->answer("tp");
  EXPECT_EQ(failure().code, ErrorCode::timed_out);
}

TEST_F(UdpgwClientTest, SaysWhatIsThereInstead) {
  begin();
  gateway_->answers_dns = false;
  gateway_->write(std::string("\x02\x00", 2) + "SSH");
  EXPECT_EQ(failure().code, ErrorCode::protocol);
  EXPECT_THAT(failure().message, HasSubstr("without a whole header"));
  error_.reset();
  begin();
  gateway_->answers_dns = false;
  gateway_->stream().finish();
  EXPECT_EQ(failure().code, ErrorCode::reset);
  EXPECT_THAT(failure().message, HasSubstr("serves no more clients"));
}

TEST_F(UdpgwClientTest, AFlowIsAnAssociationAndADestination) {
  start();
  Flow a;
  Flow b;
  open(a);
  open(b);
  const auto a1 = send(a, peer(1), "a1").connection;
  const auto a2 = send(a, peer(2), "a2").connection;
  const auto b1 = send(b, peer(1), "b1").connection;
  gateway_->answer("to b");
  EXPECT_NE(a1, a2);
  EXPECT_NE(a1, b1);
  EXPECT_NE(a2, b1);
  EXPECT_EQ(send(a, peer(1), "again").connection, a1);
  EXPECT_EQ(client_->flows(), 3U);
  ASSERT_TRUE(run_until(loop_, [&] { return !b.received.empty(); }));
  EXPECT_TRUE(a.received.empty());
  EXPECT_EQ(gateway_->count(FakeUdpgw::kRebind), 3U);
}

TEST_F(UdpgwClientTest, IdsAreUsedAgainWithRebind) {
  start();
  Flow first;
  open(first);
  const auto id = send(first, peer(1), "x").connection;
  first.session.reset();
  EXPECT_EQ(client_->flows(), 0U);
  Flow second;
  open(second);
  const WireFrame frame = send(second, peer(2), "y");
  EXPECT_EQ(frame.connection, id);
  EXPECT_EQ(frame.flags, FakeUdpgw::kRebind);
  gateway_->say({0, id, wire_address("192.0.2.1", 4500), "late"});
  gateway_->answer("mine");
  ASSERT_TRUE(run_until(loop_, [&] { return !second.received.empty(); }));
  EXPECT_EQ(second.received[0].second, "mine");
  EXPECT_EQ(client_->counters().unclaimed, 1U);
}

TEST_F(UdpgwClientTest, TheLeastRecentlyUsedFlowGivesItsIdUp) {
  start();
  Flow flow;
  open(flow);
  for (uint16_t port = 1; port <= 256; ++port) {
    const WireFrame frame = send(flow, peer(1, port), "x");
    EXPECT_EQ(frame.connection, port - 1);
  }
  EXPECT_EQ(send(flow, peer(1, 1), "used").connection, 0);  // now 2 is the oldest
  gateway_->say({0, 1, wire_address("192.0.2.1", 2), "heard"});
  ASSERT_TRUE(run_until(loop_, [&] { return !flow.received.empty(); }));  // now it is 3
  const WireFrame frame = send(flow, peer(1, 300), "new");
  EXPECT_EQ(frame.connection, 2);
  EXPECT_EQ(frame.flags, FakeUdpgw::kRebind);
  EXPECT_EQ(client_->flows(), UdpgwClient::kMaxFlows);
  EXPECT_EQ(client_->counters().evicted, 1U);
}

TEST_F(UdpgwClientTest, MoreFlowsThanIdsFindTheirOwnAnswers) {
  start();
  std::deque<Flow> flows(3);
  for (Flow& flow : flows) open(flow);
  for (uint16_t port = 1; port <= 200; ++port) {
    for (Flow& flow : flows) {
      const std::string text = std::to_string(port) + "/" + std::to_string(&flow - &flows[0]);
      const WireFrame frame = send(flow, peer(1, port), text);
      EXPECT_LT(frame.connection, UdpgwClient::kMaxFlows);
      gateway_->answer(text);
      ASSERT_TRUE(run_until(loop_, [&] { return flow.received.size() == port; }));
      EXPECT_EQ(flow.received.back(), std::make_pair(peer(1, port), text));
    }
  }
  EXPECT_EQ(client_->flows(), UdpgwClient::kMaxFlows);
  EXPECT_EQ(client_->counters().evicted, 3U * 200 - UdpgwClient::kMaxFlows);
  EXPECT_EQ(client_->counters().unclaimed, 0U);
  EXPECT_EQ(gateway_->count(FakeUdpgw::kRebind), 3U * 200);
}

TEST_F(UdpgwClientTest, RebindIsInTheFirstFrameThatLeaves) {
  options_.queue.datagrams = 2;
  start({.capacity = 20});
  Flow flow;
  open(flow);
  gateway_->reads = false;
  const std::string stuck(30, '.');
  flow.session->send(peer(9), as_bytes(stuck));  // stays partly in the way
  settle();
  flow.session->send(peer(1), as_bytes("dropped"));
  flow.session->send(peer(1), as_bytes("first"));
  gateway_->reads = true;
  gateway_->read();
  ASSERT_TRUE(run_until(loop_, [&] { return gateway_->frames.size() == 2; }));
  EXPECT_EQ(gateway_->frames[0].data, stuck);
  EXPECT_EQ(gateway_->frames[1].data, "first");
  EXPECT_EQ(gateway_->frames[1].flags, FakeUdpgw::kRebind);
  EXPECT_EQ(client_->counters().queue.sum(), 1U);
  EXPECT_EQ(send(flow, peer(1), "second").flags, 0);
}

TEST_F(UdpgwClientTest, RebindIsSaidOnceAlsoInOneWrite) {
  start();
  Flow flow;
  open(flow);
  for (const char* data : {"1", "2", "3"}) flow.session->send(peer(), as_bytes(data));
  ASSERT_TRUE(run_until(loop_, [&] { return gateway_->frames.size() == 3; }));
  EXPECT_EQ(gateway_->count(FakeUdpgw::kRebind), 1U);
  EXPECT_EQ(gateway_->frames[0].flags, FakeUdpgw::kRebind);
}

TEST_F(UdpgwClientTest, ReboundIdsAreRightAlsoWhenBothWait) {
  start({.capacity = 20});
  Flow a;
  Flow b;
  open(a);
  open(b);
  send(a, peer(1), "a");
  gateway_->reads = false;
  a.session->send(peer(1), as_bytes(std::string(30, '.')));
  settle();
  a.session->send(peer(1), as_bytes("old"));
  a.session.reset();
  b.session->send(peer(2), as_bytes("new"));
  b.session->send(peer(2), as_bytes("newer"));
  gateway_->reads = true;
  gateway_->read();
  ASSERT_TRUE(run_until(loop_, [&] { return gateway_->frames.size() == 5; }));
  EXPECT_EQ(gateway_->frames[2].flags, 0);
  EXPECT_EQ(gateway_->frames[3].flags, FakeUdpgw::kRebind);
  EXPECT_EQ(gateway_->frames[4].flags, 0);
  EXPECT_EQ(gateway_->frames[4].connection, gateway_->frames[2].connection);
}

TEST_F(UdpgwClientTest, OldDatagramsDoNotLeave) {
  options_.queue.age = 1s;
  start({.capacity = 20});
  Flow flow;
  open(flow);
  gateway_->reads = false;
  flow.session->send(peer(9), as_bytes(std::string(30, '.')));
  settle();
  flow.session->send(peer(1), as_bytes("old"));
  const Instant then = loop_.now();
  ASSERT_TRUE(run_until(loop_, [&] { return loop_.now() - then > 1s; }));
  gateway_->reads = true;
  gateway_->read();
  ASSERT_TRUE(run_until(loop_, [&] { return gateway_->frames.size() == 1; }));
  EXPECT_EQ(send(flow, peer(1), "new").data, "new");
  EXPECT_EQ(client_->counters().queue.sum(), 1U);
}

TEST_F(UdpgwClientTest, KeepsTheConnectionAlive) {
  options_.keepalive = 5ms;
  start();
  ASSERT_TRUE(run_until(loop_, [&] { return gateway_->frames.size() >= 3; }));
  EXPECT_EQ(gateway_->raw.substr(0, 10), "\x03\0\x01\0\0\x03\0\x01\0\0"s);
  gateway_->say({FakeUdpgw::kKeepalive, 0, "", ""});  // none says so, none is hurt
  settle();
  EXPECT_FALSE(closed_);
}

TEST_F(UdpgwClientTest, AsksASilentGatewayAgain) {
  options_.silence = {20ms, 60s, 60s};
  start();
  Flow flow;
  open(flow);
  for (size_t round = 1; round <= 2; ++round) {
    flow.session->send(peer(), as_bytes("anybody there?"));
    ASSERT_TRUE(run_until(loop_, [&] { return gateway_->count(FakeUdpgw::kDns) == round; }));
    settle();  // it answers
    EXPECT_EQ(client_->flows(), 1U) << "the question gives its id back";
  }
  EXPECT_EQ(gateway_->frames.back().connection, 1);
  gateway_->say({0, 0, wire_address("192.0.2.1", 4500), "yes"});
  ASSERT_TRUE(run_until(loop_, [&] { return !flow.received.empty(); }));
  EXPECT_FALSE(closed_);
}

TEST_F(UdpgwClientTest, GivesUpAGatewayThatNoLongerAnswers) {
  options_.silence = {10ms, 30ms, 30ms};
  start();
  gateway_->answers_dns = false;
  Flow flow;
  open(flow);
  bool silent = false;
  client_->on_silent([&] { silent = client_->silent() && !closed_; });
  flow.session->send(peer(), as_bytes("still there?"));
  ASSERT_TRUE(run_until(loop_, [&] { return closed_.has_value(); }));
  EXPECT_TRUE(silent);
  EXPECT_EQ(closed_->code, ErrorCode::timed_out);
  EXPECT_TRUE(flow.closed);
}

TEST_F(UdpgwClientTest, TheLargestDatagramPasses) {
  start({.capacity = 200 * 1024});
  Flow flow;
  open(flow);
  const std::string large(65507, 'L');
  EXPECT_EQ(send(flow, *Endpoint::parse("[2001:db8::5]:9"), large).data, large);
  gateway_->answer(large);
  ASSERT_TRUE(run_until(loop_, [&] { return !flow.received.empty(); }));
  EXPECT_EQ(flow.received[0].second, large);
  EXPECT_EQ(flow.received[0].first, *Endpoint::parse("[2001:db8::5]:9"));
}

TEST_F(UdpgwClientTest, NamesAreDroppedAndCounted) {
  start();
  Flow flow;
  open(flow);
  flow.session->send(Target::from_host("host.example", 9), as_bytes("x"));
  send(flow, peer(), "y");
  EXPECT_EQ(gateway_->frames.size(), 1U);
  EXPECT_EQ(client_->counters().names, 1U);
  EXPECT_EQ(client_->counters().sent, 2U);
}

TEST_F(UdpgwClientTest, NonsenseEndsItForEveryone) {
  start();
  Flow a;
  Flow b;
  open(a);
  open(b);
  gateway_->write(std::string("\x04\x00\x00\x00\x00\x7f", 6));
  ASSERT_TRUE(run_until(loop_, [&] { return closed_.has_value(); }));
  EXPECT_EQ(closed_->code, ErrorCode::protocol);
  EXPECT_THAT(closed_->message, HasSubstr("without a whole address"));
  ASSERT_TRUE(a.closed && b.closed);
  a.session->send(peer(), as_bytes("into the void"));
  Flow late;
  open(late);
  ASSERT_TRUE(late.failure);
  EXPECT_EQ(late.failure->code, ErrorCode::protocol);
}

TEST_F(UdpgwClientTest, TheEndOfTheStreamIsTold) {
  start();
  Flow flow;
  open(flow);
  gateway_->vanish();
  ASSERT_TRUE(run_until(loop_, [&] { return closed_.has_value(); }));
  EXPECT_EQ(closed_->code, ErrorCode::reset);
  EXPECT_TRUE(flow.closed);
}

TEST_F(UdpgwClientTest, AssociationsAreBounded) {
  start();
  std::vector<Flow> flows(UdpgwClient::kMaxAssociations + 1);
  for (Flow& flow : flows) open(flow);
  EXPECT_NE(flows[UdpgwClient::kMaxAssociations - 1].session, nullptr);
  ASSERT_TRUE(flows.back().failure);
  EXPECT_EQ(flows.back().failure->code, ErrorCode::limit);
}

TEST_F(UdpgwClientTest, CancelledAttemptsStaySilent) {
  begin();
  attempt_.reset();
  settle();
  EXPECT_EQ(client_, nullptr);
  EXPECT_FALSE(error_);
  start();
  Flow flow;
  flow.attempt = client_->associate([](const Endpoint&, Bytes) {}, [](const Error&) {},
                                    [](Result<std::unique_ptr<net::DatagramSession>>) { FAIL(); });
  flow.attempt.reset();
  settle();
}

}  // namespace
}  // namespace tunproxy::udp
