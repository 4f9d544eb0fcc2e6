// How connections of a Server begin below SOCKS, and how flows end that nobody ends.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "core/base/log.h"
#include "core/socks5/server.h"
#include "tests/unit/socks5/fake_proxy.h"
#include "tests/unit/socks5/served_client.h"

namespace tunproxy::socks5 {
namespace {

using testing::bytes_of;
using testing::FakeProxy;
using testing::run_until;

const Endpoint kLoopback{*IpAddress::parse("127.0.0.1"), 0};
const ClientPath kPath{*Endpoint::parse("192.0.2.1:1080"), *Endpoint::parse("198.51.100.7:5555")};

class LifetimeTest : public ::testing::Test {
 protected:
  void serve(ServerOptions options) {
    server_ = std::make_unique<Server>(loop_, proxy_, std::move(options));
  }
  /// A flow whose target is target_.
  std::unique_ptr<ServedClient> connected() {
    auto client = std::make_unique<ServedClient>(loop_, *server_);
    client->send(hello_and_request());
    const size_t index = proxy_.calls.size();
    EXPECT_TRUE(run_until(loop_, [&] { return proxy_.calls.size() == index + 1; }));
    target_ = proxy_.succeed(index);
    EXPECT_TRUE(client->receives(greeted(0)));
    return client;
  }

  io::Loop loop_;
  FakeProxy proxy_{loop_};
  std::unique_ptr<Server> server_;
  std::unique_ptr<testing::MemoryStream> target_;
};

TEST_F(LifetimeTest, AHalfClosedFlowThatCarriesNothingEnds) {
  ServerOptions options;
  options.half_closed_idle = 30ms;
  serve(options);
  for (const bool client_ends : {true, false}) {
    const auto client = connected();
    if (client_ends) {
      client->stream->finish();
    } else {
      target_->finish();
    }
    EXPECT_TRUE(run_until(
        loop_, [&] { return client->stream->error() != nullptr && target_->error() != nullptr; }));
    EXPECT_EQ(server_->connections(), 0U);
  }
}

TEST_F(LifetimeTest, OneThatCarriesSomethingStaysAndSoDoesAnIdleOne) {
  ServerOptions options;
  options.half_closed_idle = 300ms;
  serve(options);
  const auto idle = connected();
  const auto target_of_idle = std::move(target_);
  const auto client = connected();
  client->stream->finish();
  ASSERT_TRUE(run_until(loop_, [&] { return target_->ended(); }));
  // Each turn something moves; the other, of which nothing has ended, needs nothing.
  const Instant begin = loop_.now();
  Instant moved = begin;
  Duration longest{};
  io::Timer talk(loop_, [&] {
    target_->write(as_bytes("x"));
    longest = std::max(longest, loop_.now() - std::exchange(moved, loop_.now()));
    talk.start(1ms);
  });
  talk.start(1ms);
  EXPECT_TRUE(run_until(loop_, [&] { return loop_.now() - begin > 1s; }));
  if (longest >= options.half_closed_idle / 2) GTEST_SKIP() << "the machine stood still";
  EXPECT_EQ(client->stream->error(), nullptr);
  EXPECT_EQ(idle->stream->error(), nullptr);
  talk.stop();
  EXPECT_TRUE(run_until(loop_, [&] { return client->stream->error() != nullptr; }));
  EXPECT_EQ(idle->stream->error(), nullptr);
  EXPECT_EQ(server_->connections(), 1U);
}

// What the test does instead of TLS.
struct Secured {
  std::unique_ptr<net::Stream> stream;
  net::Done<std::unique_ptr<net::Stream>> done;
};

net::Secure into(std::vector<Secured>& waiting) {
  return [&waiting](auto stream, auto done) {
    waiting.push_back({std::move(stream), std::move(done)});
    return std::make_unique<net::Attempt>();
  };
}

TEST_F(LifetimeTest, ClientsAreHeardOnceTheyAreSecure) {
  std::vector<Secured> waiting;
  ServerOptions options;
  options.secure = into(waiting);
  serve(options);
  ServedClient client(loop_, *server_);
  client.send(hello_and_request());
  ASSERT_EQ(waiting.size(), 1U);
  EXPECT_EQ(server_->half_open(), 1U);
  EXPECT_TRUE(proxy_.calls.empty());
  waiting[0].done(std::move(waiting[0].stream));
  EXPECT_TRUE(run_until(loop_, [&] { return proxy_.calls.size() == 1; }));
  EXPECT_EQ(server_->stats().insecure, 0U);
}

TEST_F(LifetimeTest, WhyAClientIsNotSecureIsLoggedAFewTimes) {
  std::vector<std::string> lines;
  auto sink = std::make_shared<log::Sink>();
  sink->write = [&](log::Level, std::string_view line) { lines.emplace_back(line); };
  const log::UseSink use(sink);
  std::vector<Secured> waiting;
  ServerOptions options;
  options.secure = into(waiting);
  serve(options);
  std::deque<ServedClient> clients;
  const auto fail = [&](Error error) {
    waiting.clear();
    clients.emplace_back(loop_, *server_, testing::Manners{}, kPath);
    const auto stream = std::move(waiting[0].stream);
    waiting[0].done(std::move(error));
    EXPECT_TRUE(run_until(loop_, [&] { return server_->connections() == 0; }));
  };
  fail({ErrorCode::reset, "hung up"});
  fail({ErrorCode::timed_out, "silent"});
  EXPECT_TRUE(lines.empty()) << "whoever just knocks is of no interest";
  for (int i = 0; i < 20; ++i) fail({ErrorCode::authentication_failed, "TLS: no certificate"});
  EXPECT_EQ(lines, std::vector<std::string>(
                       log::Sparing::kLines,
                       "SOCKS: a client at 198.51.100.7 is refused: TLS: no certificate"));
  EXPECT_EQ(server_->stats().insecure, 22U);
}

TEST_F(LifetimeTest, AClientMayLeaveOrBeLateBeforeItIsSecure) {
  std::vector<Secured> waiting;
  ServerOptions options;
  options.secure = into(waiting);
  options.handshake_timeout = 20ms;
  serve(options);
  ServedClient client(loop_, *server_);
  EXPECT_TRUE(run_until(loop_, [&] { return server_->connections() == 0; }));
  EXPECT_EQ(server_->stats().late, 1U);
  ServedClient other(loop_, *server_);
  server_.reset();
}

TEST(ServerSockets, NoticeClientsThatAreGone) {
  io::Loop loop;
  FakeProxy proxy(loop);
  int keepalive = 0;
  int timeout = 0;
  ServerOptions options;
  options.secure = [&](std::unique_ptr<net::Stream> stream, auto) {
    const int fd = static_cast<io::TcpStream&>(*stream).fd();
    socklen_t length = sizeof keepalive;
    EXPECT_EQ(::getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, &length), 0);
    EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, &length), 0);
    return std::make_unique<net::Attempt>();
  };
  auto server = Server::listen(loop, kLoopback, proxy, options);
  ASSERT_TRUE(server);
  const auto attempt = io::dial(loop, std::vector<Endpoint>{(*server)->local()}, {}, [](auto) {});
  EXPECT_TRUE(run_until(loop, [&] { return timeout != 0; }));
  EXPECT_EQ(keepalive, 1);
  EXPECT_EQ(timeout, 300'000);
}

}  // namespace
}  // namespace tunproxy::socks5
