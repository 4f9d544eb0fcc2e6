// BIND (RFC 1928 §4, §6; SOCKS4) as a client meets it, and through a second server.
#include <gtest/gtest.h>

#include "core/socks5/client.h"
#include "core/socks5/server.h"
#include "tests/unit/socks5/fake_proxy.h"
#include "tests/unit/socks5/served_client.h"
#include "tests/unit/socks5/wire_support.h"

namespace tunproxy::socks5 {
namespace {

using testing::bytes_of;
using testing::FakeProxy;
using testing::Manners;
using testing::run_until;

const Endpoint kListening = *Endpoint::parse("198.51.100.9:4000");
const Endpoint kPeer = *Endpoint::parse("203.0.113.7:20");

ByteVector bind_request(const Target& from = kPeer) {
  ByteVector bytes = bytes_of({5, 1, 0});
  encode(Request{Command::bind, from}, bytes);
  return bytes;
}

ByteVector answers(std::initializer_list<Reply> replies) {
  ByteVector bytes = bytes_of({5, 0});
  for (const Reply& reply : replies) encode(reply, bytes);
  return bytes;
}

class BindTest : public ::testing::TestWithParam<Manners> {
 protected:
  BindTest() { proxy_.binds = true; }

  // A client whose BIND listens at kListening, and has been told.
  std::unique_ptr<ServedClient> bound(const ByteVector& request) {
    auto client = std::make_unique<ServedClient>(loop_, server_, GetParam());
    client->send(request);
    const size_t before = proxy_.waiting.size();
    EXPECT_TRUE(run_until(loop_, [&] { return proxy_.waiting.size() == before + 1; }));
    proxy_.listen(before, kListening);
    return client;
  }

  static ServerOptions options() {
    ServerOptions options;
    options.max_binds = 2;
    return options;
  }

  io::Loop loop_;
  FakeProxy proxy_{loop_, GetParam()};
  Server server_{loop_, proxy_, options()};
};

INSTANTIATE_TEST_SUITE_P(Streams, BindTest, ::testing::Values(Manners{}, Manners{1, 1, 2}));

TEST_P(BindTest, AnswersTwiceAndRelays) {
  auto client = bound(bind_request());
  EXPECT_EQ(proxy_.waiting[0].expected.from, Target(kPeer));
  ASSERT_TRUE(client->receives(answers({{0, kListening}})));
  EXPECT_EQ(server_.binds(), 1u);
  auto peer = proxy_.accept(0, kPeer);
  peer->write(as_bytes("!"));
  ByteVector expected = answers({{0, kListening}, {0, kPeer}});
  append(expected, as_bytes("!"));
  EXPECT_TRUE(client->receives(expected));
  EXPECT_EQ(server_.binds(), 0u);
  client->send("hi");
  std::string got;
  EXPECT_TRUE(run_until(loop_, [&] { return (got += peer->read_all()) == "hi"; }));
  EXPECT_EQ(server_.stats().binds, 1u);
  EXPECT_EQ(server_.stats().replies[0], 2u);
}

TEST_P(BindTest, Socks4AnswersTwiceToo) {
  auto client = bound(bytes_of({4, 2, 0, 20, 203, 0, 113, 7, 'm', 'e', 0}));
  EXPECT_EQ(proxy_.waiting[0].expected.from, Target(kPeer));
  ASSERT_TRUE(client->receives(bytes_of({0, 0x5a, 0x0f, 0xa0, 198, 51, 100, 9})));
  auto peer = proxy_.accept(0, kPeer);
  EXPECT_TRUE(client->receives(
      bytes_of({0, 0x5a, 0x0f, 0xa0, 198, 51, 100, 9, 0, 0x5a, 0, 20, 203, 0, 113, 7})));
}

TEST_P(BindTest, TellsWhyThereIsNone) {
  const std::vector<std::pair<ErrorCode, uint8_t>> outcomes = {
      {ErrorCode::not_allowed, 2}, {ErrorCode::general, 1}, {ErrorCode::command_not_supported, 7}};
  for (size_t i = 0; i < outcomes.size(); ++i) {
    ServedClient client(loop_, server_, GetParam());
    client.send(bind_request());
    ASSERT_TRUE(run_until(loop_, [&] { return proxy_.waiting.size() == i + 1; }));
    proxy_.fail_bind(i, outcomes[i].first);
    EXPECT_TRUE(client.receives(answers({{outcomes[i].second, {}}})));
    EXPECT_TRUE(client.is_parted());
  }
  EXPECT_EQ(server_.binds(), 0u);
  proxy_.binds = false;
  ServedClient client(loop_, server_, GetParam());
  client.send(bind_request());
  EXPECT_TRUE(client.receives(answers({{7, {}}})));
}

TEST_P(BindTest, TheSecondAnswerMayBeAFailure) {
  auto client = bound(bind_request());
  ASSERT_TRUE(client->receives(answers({{0, kListening}})));
  proxy_.fail_bind(0, ErrorCode::reset);
  EXPECT_TRUE(client->receives(answers({{0, kListening}, {1, {}}})));
  EXPECT_TRUE(client->is_parted());
}

TEST_P(BindTest, AClientThatLeavesEndsTheListening) {
  auto client = bound(bind_request());
  ASSERT_TRUE(client->receives(answers({{0, kListening}})));
  client.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return proxy_.waiting[0].cancelled; }));
  EXPECT_EQ(server_.binds(), 0u);
  EXPECT_EQ(server_.connections(), 0u);
}

TEST_P(BindTest, BoundsHowManyWait) {
  auto one = bound(bind_request());
  auto two = bound(bind_request());
  ServedClient three(loop_, server_, GetParam());
  three.send(bind_request());
  EXPECT_TRUE(three.receives(answers({{1, {}}})));
  EXPECT_EQ(proxy_.waiting.size(), 2u);
  EXPECT_EQ(server_.stats().over_limit, 1u);
  one.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return server_.binds() == 1; }));
  auto four = bound(bind_request());
  EXPECT_TRUE(four->receives(answers({{0, kListening}})));
}

TEST(Bind, EndsWith06WhenNobodyComes) {
  io::Loop loop;
  FakeProxy proxy(loop);
  proxy.binds = true;
  ServerOptions options;
  options.bind_timeout = 1s;
  Server server(loop, proxy, options);
  ServedClient never_listens(loop, server);
  never_listens.send(bind_request());
  EXPECT_TRUE(never_listens.receives(answers({{6, {}}})));
  EXPECT_TRUE(proxy.waiting[0].cancelled);
  ServedClient nobody_comes(loop, server);
  nobody_comes.send(bind_request());
  ASSERT_TRUE(run_until(loop, [&] { return proxy.waiting.size() == 2; }));
  proxy.listen(1, kListening);
  EXPECT_TRUE(nobody_comes.receives(answers({{0, kListening}, {6, {}}})));
  EXPECT_TRUE(proxy.waiting[1].cancelled);
  EXPECT_EQ(server.binds(), 0u);
}

TEST(ServerDefaults, AreTheDocumentedOnes) {
  const ServerOptions options;
  EXPECT_EQ(options.bind_timeout, 300s);
  EXPECT_EQ(options.handshake_timeout, 10s);
  EXPECT_EQ(options.udp_idle, 120s);
}

TEST(Bind, TellsTheOutsideAddressForAWildcard) {
  io::Loop loop;
  FakeProxy proxy(loop);
  proxy.binds = true;
  std::optional<IpAddress> outside = *IpAddress::parse("192.0.2.22");
  ServerOptions options;
  options.outside_address = [&] { return outside; };
  Server server(loop, proxy, options);
  const auto told_for = [&](const char* listening) {
    ServedClient client(loop, server);
    client.send(bind_request());
    const size_t index = proxy.waiting.size();
    EXPECT_TRUE(run_until(loop, [&] { return proxy.waiting.size() == index + 1; }));
    proxy.listen(index, *Endpoint::parse(listening));
    EXPECT_TRUE(run_until(loop, [&] { return client.received.size() > 2; }));
    Bytes rest = Bytes(client.received).subspan(2);
    const auto reply = decode_reply(rest);
    return reply && *reply ? (*reply)->bound.to_string() : std::string("none");
  };
  EXPECT_EQ(told_for("0.0.0.0:4000"), "192.0.2.22:4000");
  EXPECT_EQ(told_for("[::]:4000"), "192.0.2.22:4000");
  EXPECT_EQ(told_for("198.51.100.9:4000"), "198.51.100.9:4000");
  outside.reset();
  EXPECT_EQ(told_for("0.0.0.0:4000"), "0.0.0.0:4000");
}

// Client and server of ours back to back, over real sockets.
class BindThroughTest : public ::testing::Test {
 protected:
  void SetUp() override {
    proxy_.binds = true;
    auto server = Server::listen(loop_, {*IpAddress::parse("127.0.0.1"), 0}, proxy_);
    ASSERT_TRUE(server);
    server_ = std::move(*server);
    client_ = std::make_unique<Client>(loop_, server_->local());
    attempt_ = client_->bind(
        {kPeer, [this](const IpAddress& peer) { return peer == kPeer.address && !turns_away_; }},
        [this](const Endpoint& at) { listening_ = at; },
        [this](Result<net::Accepted> peer) {
          attempt_.reset();
          if (peer) {
            accepted_ = std::move(*peer);
          } else {
            failed_ = peer.error().code;
          }
        });
    ASSERT_TRUE(run_until(loop_, [&] { return proxy_.waiting.size() == 1; }));
    EXPECT_EQ(proxy_.waiting[0].expected.from, Target(kPeer));
  }
  void listens_at(const Endpoint& at) {
    proxy_.listen(0, at);
    ASSERT_TRUE(run_until(loop_, [&] { return listening_ || failed_; }));
  }

  io::Loop loop_;
  FakeProxy proxy_{loop_};
  std::unique_ptr<Server> server_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<net::Attempt> attempt_;
  std::optional<Endpoint> listening_;
  net::Accepted accepted_;
  std::optional<ErrorCode> failed_;
  bool turns_away_ = false;
};

TEST_F(BindThroughTest, PassesBothAnswersAndTheBytesBehindThem) {
  listens_at(kListening);
  EXPECT_EQ(listening_, kListening);
  auto peer = proxy_.accept(0, kPeer);
  peer->write(as_bytes("at once"));
  ASSERT_TRUE(run_until(loop_, [&] { return accepted_.stream != nullptr; }));
  EXPECT_EQ(accepted_.peer, kPeer);
  std::string got;
  accepted_.stream->on_progress([&] {
    got += as_text(accepted_.stream->peek());
    accepted_.stream->consume(accepted_.stream->peek().size());
  });
  EXPECT_TRUE(run_until(loop_, [&] { return got == "at once"; }));
}

TEST_F(BindThroughTest, AWildcardIsWhereTheServerWasReached) {
  listens_at(*Endpoint::parse("0.0.0.0:4000"));
  EXPECT_EQ(listening_, *Endpoint::parse("127.0.0.1:4000"));
}

TEST_F(BindThroughTest, ReportsARefusalAtFirst) {
  proxy_.fail_bind(0, ErrorCode::not_allowed);
  ASSERT_TRUE(run_until(loop_, [&] { return failed_.has_value(); }));
  EXPECT_EQ(failed_, ErrorCode::not_allowed);
  EXPECT_FALSE(listening_);
}

TEST_F(BindThroughTest, ReportsARefusalLater) {
  listens_at(kListening);
  proxy_.fail_bind(0, ErrorCode::timed_out);
  ASSERT_TRUE(run_until(loop_, [&] { return failed_.has_value(); }));
  EXPECT_EQ(failed_, ErrorCode::timed_out);
}

TEST_F(BindThroughTest, WhoMayNotComeEndsIt) {
  turns_away_ = true;
  listens_at(kListening);
  const auto peer = proxy_.accept(0, kPeer);
  ASSERT_TRUE(run_until(loop_, [&] { return failed_ && peer->error() != nullptr; }));
  EXPECT_EQ(failed_, ErrorCode::not_allowed);
}

TEST_F(BindThroughTest, ReportsAServerThatGoesAway) {
  listens_at(kListening);
  server_.reset();
  ASSERT_TRUE(run_until(loop_, [&] { return failed_.has_value(); }));
  EXPECT_EQ(failed_, ErrorCode::general);
}

TEST_F(BindThroughTest, CancelsAllTheWay) {
  listens_at(kListening);
  attempt_.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return proxy_.waiting[0].cancelled; }));
  EXPECT_FALSE(failed_);
}

}  // namespace
}  // namespace tunproxy::socks5
