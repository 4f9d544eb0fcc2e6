#include "core/socks5/server.h"

#include <gtest/gtest.h>

#include "core/io/direct_proxy.h"
#include "core/socks5/client.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/socks5/fake_proxy.h"
#include "tests/unit/socks5/served_client.h"
#include "tests/unit/socks5/wire_support.h"

namespace tunproxy::socks5 {
namespace {

using testing::bytes_of;
using testing::FakeProxy;
using testing::Manners;
using testing::run_until;

const Endpoint kLoopback{*IpAddress::parse("127.0.0.1"), 0};

ServerOptions with_timeout(Duration timeout) {
  ServerOptions options;
  options.handshake_timeout = timeout;
  return options;
}

ServerOptions with_maximum(size_t connections) {
  ServerOptions options;
  options.max_connections = connections;
  return options;
}

class ServerTest : public ::testing::TestWithParam<Manners> {
 protected:
  io::Loop loop_;
  FakeProxy proxy_{loop_, GetParam()};
  Server server_{loop_, proxy_};
};

INSTANTIATE_TEST_SUITE_P(Streams, ServerTest,
                         ::testing::Values(Manners{}, Manners{1, SIZE_MAX, 64 * 1024},
                                           Manners{SIZE_MAX, 1, 64 * 1024}, Manners{1, 1, 2}));

TEST_P(ServerTest, RepliesWhenTheOutcomeIsKnownAndRelays) {
  ServedClient client(loop_, server_, GetParam());
  client.send(hello_and_request());
  ASSERT_TRUE(run_until(loop_, [&] { return proxy_.calls.size() == 1; }));
  EXPECT_EQ(proxy_.calls[0].target, Target::from_host("example.com", 443));
  ASSERT_TRUE(client.receives(bytes_of({5, 0})));  // no reply yet
  auto target = proxy_.succeed(0);
  ASSERT_TRUE(client.receives(greeted(0)));
  client.send(bytes_of({'h', 'i'}));
  std::string got;
  ASSERT_TRUE(run_until(loop_, [&] { return (got += target->read_all()) == "hi"; }));
  ByteVector expected = greeted(0);
  append(expected, as_bytes("!"));
  target->write(as_bytes("!"));
  EXPECT_TRUE(client.receives(expected));
  client.stream->finish();
  EXPECT_TRUE(run_until(loop_, [&] { return target->ended(); }));
  EXPECT_FALSE(client.stream->ended());
  target->finish();
  EXPECT_TRUE(run_until(loop_, [&] { return client.stream->ended(); }));
  EXPECT_TRUE(run_until(loop_, [&] { return server_.connections() == 0; }));
  EXPECT_EQ(client.stream->error(), nullptr);
}

TEST_P(ServerTest, KeepsWhatTheClientSendsAhead) {
  ServedClient client(loop_, server_, GetParam());
  ByteVector bytes = hello_and_request();
  append(bytes, as_bytes("ahead of the reply"));
  client.send(bytes);
  ASSERT_TRUE(run_until(loop_, [&] { return proxy_.calls.size() == 1; }));
  auto target = proxy_.succeed(0);
  std::string got;
  EXPECT_TRUE(
      run_until(loop_, [&] { return (got += target->read_all()) == "ahead of the reply"; }));
  EXPECT_TRUE(client.receives(greeted(0)));
}

TEST_P(ServerTest, SaysWhyATargetCouldNotBeReached) {
  const std::vector<std::pair<ErrorCode, uint8_t>> outcomes = {{ErrorCode::refused, 5},
                                                               {ErrorCode::host_unreachable, 4},
                                                               {ErrorCode::timed_out, 6},
                                                               {ErrorCode::not_allowed, 2}};
  for (size_t i = 0; i < outcomes.size(); ++i) {
    ServedClient client(loop_, server_, GetParam());
    client.send(hello_and_request());
    ASSERT_TRUE(run_until(loop_, [&] { return proxy_.calls.size() == i + 1; }));
    proxy_.fail(i, outcomes[i].first);
    EXPECT_TRUE(client.receives(greeted(outcomes[i].second)));
    EXPECT_TRUE(run_until(loop_, [&] { return client.stream->ended(); }));
    client.stream->finish();
    EXPECT_TRUE(run_until(loop_, [&] { return server_.connections() == 0; }));
    EXPECT_EQ(client.stream->error(), nullptr);
  }
}

TEST_P(ServerTest, AnswersOtherCommandsWith07) {
  for (const Command command : {Command::bind, Command::udp_associate, static_cast<Command>(9)}) {
    ServedClient client(loop_, server_, GetParam());
    client.send(hello_and_request(command));
    EXPECT_TRUE(client.receives(greeted(7)));
    EXPECT_TRUE(run_until(loop_, [&] { return client.stream->ended(); }));
  }
  EXPECT_TRUE(proxy_.calls.empty());
}

TEST_P(ServerTest, AClientThatLeavesCancelsTheDial) {
  auto client = std::make_unique<ServedClient>(loop_, server_, GetParam());
  client->send(hello_and_request());
  ASSERT_TRUE(run_until(loop_, [&] { return proxy_.calls.size() == 1; }));
  client.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return proxy_.calls[0].cancelled; }));
  EXPECT_TRUE(run_until(loop_, [&] { return server_.connections() == 0; }));
}

TEST_P(ServerTest, AFailedTargetResetsTheClient) {
  ServedClient client(loop_, server_, GetParam());
  client.send(hello_and_request());
  ASSERT_TRUE(run_until(loop_, [&] { return proxy_.calls.size() == 1; }));
  auto target = proxy_.succeed(0);
  ASSERT_TRUE(client.receives(greeted(0)));
  target.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return client.stream->error() != nullptr; }));
  EXPECT_EQ(server_.connections(), 0u);
}

TEST(Server, ClosesAClientThatMakesNoRequestInTime) {
  io::Loop loop;
  FakeProxy proxy(loop);
  Server server(loop, proxy, with_timeout(20ms));
  ServedClient client(loop, server);
  client.send(bytes_of({5}));
  EXPECT_TRUE(run_until(loop, [&] { return client.stream->error() != nullptr; }));
  EXPECT_EQ(server.connections(), 0u);
}

TEST(Server, RefusesPolitelyAboveItsMaximum) {
  io::Loop loop;
  FakeProxy proxy(loop);
  ServerOptions options = with_maximum(2);
  std::vector<std::string> told;
  options.on_limit = [&](std::string_view limit) { told.emplace_back(limit); };
  Server server(loop, proxy, options);
  std::vector<std::unique_ptr<ServedClient>> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(std::make_unique<ServedClient>(loop, server));
  for (auto& client : clients) client->send(hello_and_request());
  EXPECT_TRUE(clients[2]->receives(greeted(1)));
  EXPECT_EQ(proxy.calls.size(), 2u);
  EXPECT_EQ(told, std::vector<std::string>{"too many connections"});
  for (size_t i = 0; i < Admission::kMaxRefusals + 1; ++i) {
    clients.push_back(std::make_unique<ServedClient>(loop, server));
  }
  EXPECT_TRUE(run_until(loop, [&] { return clients.back()->stream->error() != nullptr; }));
  EXPECT_EQ(server.connections(), 2 + Admission::kMaxRefusals);
  EXPECT_EQ(told.size(), 3u);
}

TEST(Server, DiesWithConnectionsInEveryState) {
  io::Loop loop;
  FakeProxy proxy(loop);
  auto server = std::make_unique<Server>(loop, proxy);
  ServedClient silent(loop, *server);
  ServedClient dialing(loop, *server);
  dialing.send(hello_and_request());
  ServedClient relaying(loop, *server);
  relaying.send(hello_and_request());
  ASSERT_TRUE(run_until(loop, [&] { return proxy.calls.size() == 2; }));
  auto target = proxy.succeed(1);
  ASSERT_TRUE(relaying.receives(greeted(0)));
  server.reset();
  EXPECT_TRUE(run_until(loop, [&] {
    return silent.stream->error() && dialing.stream->error() && relaying.stream->error();
  }));
  EXPECT_TRUE(proxy.calls[0].cancelled);
}

TEST(Server, ServesARealClientOverLoopback) {
  io::Loop loop;
  std::unique_ptr<io::TcpStream> accepted;
  auto sink = io::TcpListener::listen(loop, kLoopback, [&](auto s) { accepted = std::move(s); });
  ASSERT_TRUE(sink);
  io::DirectProxy direct(loop, {});
  ServerOptions server_options;
  server_options.users = {{"u", *hash_password("p")}};
  auto server = Server::listen(loop, kLoopback, direct, server_options);
  ASSERT_TRUE(server);
  ClientOptions options;
  options.negotiate.account = Account{"u", Secret("p")};
  socks5::Client proxy(loop, (*server)->local(), options);
  std::unique_ptr<net::Stream> stream;
  auto attempt = proxy.connect((*sink)->local(), [&](auto result) {
    ASSERT_TRUE(result) << result.error().message;
    stream = std::move(*result);
  });
  ASSERT_TRUE(run_until(loop, [&] { return stream && accepted; }));
  constexpr size_t kTotal = 8 * 1024 * 1024;
  size_t sent = 0;
  size_t received = 0;
  bool intact = true;
  const ByteVector chunk(65521, 0);
  const auto byte_at = [](size_t i) { return static_cast<uint8_t>(i * 31 + (i >> 13)); };
  const auto push = [&] {
    ByteVector block(chunk.size());
    while (sent < kTotal) {
      const size_t n = std::min(block.size(), kTotal - sent);
      for (size_t i = 0; i < n; ++i) block[i] = byte_at(sent + i);
      const size_t taken = stream->write(Bytes(block).first(n));
      sent += taken;
      if (taken < n) return;
    }
    stream->finish();
  };
  stream->on_progress(push);
  accepted->on_progress([&] {
    for (Bytes bytes = accepted->peek(); !bytes.empty(); bytes = accepted->peek()) {
      for (const uint8_t byte : bytes) intact = intact && byte == byte_at(received++);
      accepted->consume(bytes.size());
    }
  });
  EXPECT_TRUE(run_until(
      loop, [&] { return accepted->ended(); }, 30s));
  EXPECT_EQ(received, kTotal);
  EXPECT_TRUE(intact);
}

TEST(Server, FailsToListenWhereItMayNot) {
  io::Loop loop;
  FakeProxy proxy(loop);
  EXPECT_FALSE(Server::listen(loop, *Endpoint::parse("192.0.2.1:1"), proxy));
}

}  // namespace
}  // namespace tunproxy::socks5
