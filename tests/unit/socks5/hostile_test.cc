// Clients that mean harm: what they get, and that others are served meanwhile.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <deque>

#include "core/io/direct_proxy.h"
#include "core/io/timer.h"
#include "core/socks5/server.h"
#include "tests/unit/socks5/fake_proxy.h"
#include "tests/unit/socks5/served_client.h"

namespace tunproxy::socks5 {
namespace {

using testing::bytes_of;
using testing::FakeProxy;
using testing::Manners;
using testing::run_until;

ClientPath from(const std::string& address) {
  return {*Endpoint::parse("192.0.2.1:1080"), {*IpAddress::parse(address), 5555}};
}

class HostileTest : public ::testing::Test {
 protected:
  void serve(const ServerOptions& options) {
    server_ = std::make_unique<Server>(loop_, proxy_, options);
  }
  ServedClient& join(const std::string& address) {
    return clients_.emplace_back(loop_, *server_, Manners{}, from(address));
  }
  // An honest client gets through to its target.
  void expect_service(const std::string& address) {
    ServedClient& honest = join(address);
    honest.send(hello_and_request());
    const size_t before = proxy_.calls.size();
    ASSERT_TRUE(run_until(loop_, [&] { return proxy_.calls.size() == before + 1; }));
    targets_.push_back(proxy_.succeed(before));
    EXPECT_TRUE(honest.receives(greeted(0)));
  }

  io::Loop loop_;
  FakeProxy proxy_{loop_};
  std::unique_ptr<Server> server_;
  std::deque<ServedClient> clients_;
  std::vector<std::unique_ptr<testing::MemoryStream>> targets_;
};

TEST_F(HostileTest, TenThousandHalfOpenHandshakesCostNobodyElseHis) {
  serve({});
  const std::vector<ByteVector> beginnings = {{},
                                              bytes_of({5}),
                                              bytes_of({5, 1, 0}),
                                              bytes_of({4, 1, 0, 80}),
                                              bytes_of({'C', 'O', 'N', 'N'})};
  const ServerOptions limits;
  for (size_t i = 0; i < 10000; ++i) {
    const std::string attacker = "198.51.100." + std::to_string(i % 200);
    ServedClient& client = join(attacker);
    if (!beginnings[i % beginnings.size()].empty()) client.send(beginnings[i % 5]);
    loop_.run_once(false);
    ASSERT_LE(server_->half_open(), limits.max_half_open);
    ASSERT_LE(server_->connections(), limits.max_half_open + 10);
    if (clients_.size() > limits.max_half_open) clients_.pop_front();
    if (i % 2500 == 2000) expect_service("203.0.113.5");
  }
  expect_service("198.51.100.7");
  EXPECT_GT(server_->stats().evicted, 8000u);
  EXPECT_EQ(server_->stats().dropped, 0u);
}

TEST_F(HostileTest, OneAddressEvictsItsOwnAlone) {
  ServerOptions options;
  options.max_half_open_per_client = 3;
  serve(options);
  ServedClient& bystander = join("203.0.113.5");
  for (int i = 0; i < 50; ++i) join("198.51.100.7");
  loop_.run_once(false);
  EXPECT_EQ(server_->half_open(), 4u);
  EXPECT_TRUE(clients_[1].is_dropped());
  EXPECT_EQ(bystander.stream->error(), nullptr);
  EXPECT_EQ(clients_.back().stream->error(), nullptr) << "the newest stays";
  EXPECT_EQ(server_->stats().evicted, 47u);
}

TEST_F(HostileTest, WhoWasRefusedAndStaysIsEvictedToo) {
  ServerOptions options;
  options.max_half_open = 10;
  options.max_connections = 20;
  serve(options);
  const std::vector<std::string> refused = {"GET / HTTP/1.1\r\n\r\n", "?",
                                            std::string("\x05\x01\x07", 3)};
  for (size_t i = 0; i < 100; ++i) {
    join("127.0.0.1").send(refused[i % refused.size()]);
    loop_.run_once(false);
  }
  EXPECT_LE(server_->connections(), 10u);
  EXPECT_EQ(server_->stats().dropped, 0u);
  expect_service("127.0.0.1");
}

TEST_F(HostileTest, AnIpv6NeighbourhoodIsOneClient) {
  ServerOptions options;
  options.max_half_open_per_client = 1;
  serve(options);
  join("2001:db8::1");
  join("2001:db8::ffff:1");
  join("2001:db8:0:1::1");
  join("::ffff:198.51.100.7");
  join("198.51.100.7");
  EXPECT_EQ(server_->half_open(), 3u);
  EXPECT_TRUE(clients_[0].is_dropped());
  EXPECT_TRUE(clients_[3].is_dropped());
}

TEST_F(HostileTest, ProgramsOfThisMachineAreNotOneClient) {
  ServerOptions options;
  options.max_half_open_per_client = 1;
  options.max_per_client = 1;
  serve(options);
  for (const char* local : {"127.0.0.1", "127.0.0.1", "::1", "::1", "127.0.0.2"}) join(local);
  EXPECT_EQ(server_->half_open(), 5u);
  expect_service("127.0.0.1");
}

TEST_F(HostileTest, OneAddressGetsItsShareOfConnectionsAndNoMore) {
  ServerOptions options;
  options.max_per_client = 2;
  options.max_half_open_per_client = 1000;
  serve(options);
  expect_service("198.51.100.7");
  expect_service("198.51.100.7");
  ServedClient& third = join("198.51.100.7");
  third.send(hello_and_request());
  EXPECT_TRUE(third.receives(greeted(1)));
  expect_service("203.0.113.5");
  clients_[0].stream->break_with({ErrorCode::reset, "gone"});
  clients_.pop_front();
  EXPECT_TRUE(run_until(loop_, [&] { return server_->connections() <= 3; }));
  third.stream->finish();
  EXPECT_TRUE(run_until(loop_, [&] { return server_->connections() == 2; }));
  expect_service("198.51.100.7");
  for (size_t i = 0; i < Admission::kMaxRefusals + 1; ++i) join("198.51.100.7");
  EXPECT_TRUE(clients_.back().is_dropped()) << "above the refusals nobody listens";
  EXPECT_EQ(server_->stats().dropped, 1u);
  expect_service("203.0.113.5");
}

TEST_F(HostileTest, ASlowLorisIsCutOffInTime) {
  ServerOptions options;
  options.handshake_timeout = 200ms;
  serve(options);
  ServedClient& socks5 = join("198.51.100.7");
  ServedClient& http = join("198.51.100.7");
  http.send("CONNECT h.x:443 HTTP/1.1\r\nA: ");
  bool first = true;
  io::Timer drip(loop_, [&] {
    if (first) socks5.send(bytes_of({5, 255}));
    if (!first) socks5.send(bytes_of({1}));
    first = false;
    http.send("a");
    drip.start(20ms);
  });
  drip.start(1ms);
  EXPECT_TRUE(socks5.is_dropped());
  EXPECT_TRUE(http.is_dropped());
  EXPECT_EQ(server_->stats().late, 2u);
}

TEST_F(HostileTest, WhoDoesNotReadItsAnswerIsCutOff) {
  ServerOptions options;
  options.handshake_timeout = 1s;
  serve(options);
  auto [near, far] = testing::MemoryStream::make_pair(loop_, {SIZE_MAX, SIZE_MAX, 30});
  server_->serve(std::move(far));  // the client takes no more than 30 bytes, and reads none
  near->write(as_bytes("CONNECT a:1 HTTP/1.1\r\n\r\n"));
  EXPECT_TRUE(run_until(loop_, [&] { return proxy_.calls.size() == 1; }));
  const auto target = proxy_.succeed(0);
  EXPECT_TRUE(run_until(loop_, [&] { return near->error() != nullptr || near->ended(); }));
}

TEST_F(HostileTest, EndlessMessagesEnd) {
  serve({});
  const std::string endless(1 << 20, 'x');
  for (const std::string& beginning :
       {std::string("CONNECT "), std::string("CONNECT a:1 HTTP/1.1\r\nA: "),
        std::string("\x04\x01\x00\x50\x01\x02\x03\x04", 8),
        std::string("\x04\x01\x00\x50\x00\x00\x00\x01\x00", 9), std::string("\x05\x00", 2),
        std::string("\x05\x01\x00\x05\x01\x00\x03\x00", 8)}) {
    ServedClient& client = join("203.0.113.5");
    client.send(beginning + endless);
    EXPECT_TRUE(client.is_parted()) << beginning;
    EXPECT_FALSE(client.received.empty());
    client.stream->finish();
  }
  EXPECT_TRUE(run_until(loop_, [&] { return server_->connections() == 0; }));
  EXPECT_TRUE(proxy_.calls.empty());
}

// The soft limit of descriptors, lowered for a while.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t limit) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lowered{limit, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &lowered);
  }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(HostileTest, NewFlowsAreRefusedBeforeDescriptorsRunOut) {
  const FewDescriptors few(300);
  auto sink = io::TcpListener::listen(loop_, {*IpAddress::parse("127.0.0.1"), 0}, [](auto) {});
  auto listening = Server::listen(loop_, {*IpAddress::parse("127.0.0.1"), 0}, proxy_);
  ASSERT_TRUE(listening && sink);
  server_ = std::move(*listening);
  std::vector<std::unique_ptr<net::Stream>> streams;
  std::string answer;
  while (answer.empty() && streams.size() < 300) {
    std::unique_ptr<io::TcpStream> connected;
    const auto dial = io::dial(loop_, std::vector{server_->local()}, {}, [&](auto result) {
      ASSERT_TRUE(result) << result.error().message;
      connected = std::move(*result);
    });
    ASSERT_TRUE(run_until(loop_, [&] { return connected != nullptr; }));
    connected->write(as_bytes("CONNECT a:1 HTTP/1.1\r\n\r\n"));
    connected->on_progress([&answer, stream = connected.get()] {
      answer += as_text(stream->peek());
      stream->consume(stream->peek().size());
    });
    const size_t dialed = proxy_.calls.size();
    ASSERT_TRUE(
        run_until(loop_, [&] { return proxy_.calls.size() > dialed || connected->ended(); }));
    streams.push_back(std::move(connected));
  }
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 503") << streams.size();
  EXPECT_NE(answer.find("too many open files"), std::string::npos);
  EXPECT_GT(proxy_.calls.size(), 20u);
  EXPECT_EQ(server_->stats().over_limit, 1u);
  const UniqueFd still(::dup(0));
  EXPECT_TRUE(still) << "the rest of the program has some left";
}

}  // namespace
}  // namespace tunproxy::socks5
