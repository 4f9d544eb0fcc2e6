// What a Server says in each language, to whom it gives which way out, and what it counts.
#include <gtest/gtest.h>

#include "core/socks5/reply.h"
#include "core/socks5/server.h"
#include "tests/unit/socks5/fake_proxy.h"
#include "tests/unit/socks5/served_client.h"

namespace tunproxy::socks5 {
namespace {

using testing::bytes_of;
using testing::FakeProxy;
using testing::Manners;
using testing::run_until;

const ByteVector kSocks4 = bytes_of({4, 1, 1, 0xbb, 0, 0, 0, 1, 0, 'h', '.', 'x', 0});
constexpr std::string_view kHttp = "CONNECT h.x:443 HTTP/1.1\r\nHost: h.x:443\r\n\r\n";

ByteVector socks5_request() {
  ByteVector bytes = bytes_of({5, 1, 0});
  encode(Request{Command::connect, Target::from_host("h.x", 443)}, bytes);
  return bytes;
}

ServerOptions with_user() {
  ServerOptions options;
  options.users = {{"anna", *hash_password("secret")}};
  return options;
}

class ProtocolsTest : public ::testing::TestWithParam<Manners> {
 protected:
  void dialed(size_t count) {
    ASSERT_TRUE(run_until(loop_, [&] { return proxy_.calls.size() == count; }));
    EXPECT_EQ(proxy_.calls.back().target, Target::from_host("h.x", 443));
  }

  io::Loop loop_;
  FakeProxy proxy_{loop_, GetParam()};
  Server server_{loop_, proxy_};
};

INSTANTIATE_TEST_SUITE_P(Streams, ProtocolsTest,
                         ::testing::Values(Manners{}, Manners{1, SIZE_MAX, 64 * 1024},
                                           Manners{1, 1, 2}));

TEST_P(ProtocolsTest, Socks4Connects) {
  ServedClient client(loop_, server_, GetParam());
  ByteVector bytes = kSocks4;
  append(bytes, as_bytes("ahead"));
  client.send(bytes);
  dialed(1);
  EXPECT_TRUE(client.received.empty());
  auto target = proxy_.succeed(0);
  ASSERT_TRUE(client.receives(bytes_of({0, 0x5a, 0, 0, 0, 0, 0, 0})));
  std::string got;
  EXPECT_TRUE(run_until(loop_, [&] { return (got += target->read_all()) == "ahead"; }));
}

TEST_P(ProtocolsTest, HttpConnects) {
  ServedClient client(loop_, server_, GetParam());
  client.send(std::string(kHttp) + "ahead");
  dialed(1);
  EXPECT_TRUE(client.received.empty());
  auto target = proxy_.succeed(0);
  target->write(as_bytes("!"));
  EXPECT_TRUE(run_until(loop_, [&] {
    return client.text() == "HTTP/1.1 200 Connection established\r\n\r\n!";
  })) << client.text();
  std::string got;
  EXPECT_TRUE(run_until(loop_, [&] { return (got += target->read_all()) == "ahead"; }));
}

TEST_P(ProtocolsTest, EveryOutcomeHasItsAnswerInEveryLanguage) {
  struct Outcome {
    ErrorCode error;
    int reply;
    const char* status;
  };
  const std::vector<Outcome> outcomes = {
      {ErrorCode::general, 1, "502"},
      {ErrorCode::not_allowed, 2, "403"},
      {ErrorCode::network_unreachable, 3, "502"},
      {ErrorCode::host_unreachable, 4, "502"},
      {ErrorCode::refused, 5, "502"},
      {ErrorCode::timed_out, 6, "504"},
      {ErrorCode::command_not_supported, 7, "501"},
      {ErrorCode::address_not_supported, 8, "400"},
      {ErrorCode::limit, 1, "503"},
      {ErrorCode::server_unreachable, 4, "503"},
      {ErrorCode::reset, 1, "502"},
  };
  for (const Outcome& outcome : outcomes) {
    const size_t before = proxy_.calls.size();
    ServedClient socks5(loop_, server_, GetParam());
    ServedClient socks4(loop_, server_, GetParam());
    ServedClient http(loop_, server_, GetParam());
    socks5.send(socks5_request());
    socks4.send(kSocks4);
    http.send(kHttp);
    dialed(before + 3);
    for (size_t i = 0; i < 3; ++i) proxy_.fail(before + i, outcome.error);
    EXPECT_TRUE(socks5.receives(bytes_of({5, 0, 5, outcome.reply, 0, 1, 0, 0, 0, 0, 0, 0})));
    EXPECT_TRUE(socks4.receives(bytes_of({0, 0x5b, 0, 0, 0, 0, 0, 0})));
    EXPECT_TRUE(http.is_parted());
    EXPECT_EQ(http.text().substr(0, 12), std::string("HTTP/1.1 ") + outcome.status);
    EXPECT_NE(http.text().find("as the test wants it"), std::string::npos) << "says why";
    EXPECT_TRUE(socks5.is_parted());
    EXPECT_TRUE(socks4.is_parted());
  }
  const ServerStats& stats = server_.stats();
  EXPECT_EQ(stats.connects, 3 * outcomes.size());
  EXPECT_EQ(stats.protocols[static_cast<size_t>(Protocol::socks5)], outcomes.size());
  EXPECT_EQ(stats.protocols[static_cast<size_t>(Protocol::socks4)], outcomes.size());
  EXPECT_EQ(stats.protocols[static_cast<size_t>(Protocol::http)], outcomes.size());
  EXPECT_EQ(stats.replies[1], 9u);
  EXPECT_EQ(stats.replies[4], 6u);
  EXPECT_EQ(stats.replies[5], 3u);
  EXPECT_EQ(stats.replies[0], 0u);
}

TEST_P(ProtocolsTest, PlainHttpIsRefusedReadably) {
  ServedClient client(loop_, server_, GetParam());
  client.send("GET http://h.x/ HTTP/1.1\r\nHost: h.x\r\n\r\n");
  EXPECT_TRUE(client.is_parted());
  EXPECT_EQ(client.text().substr(0, 12), "HTTP/1.1 501");
  EXPECT_NE(client.text().find("CONNECT alone"), std::string::npos);
  EXPECT_TRUE(proxy_.calls.empty());
  EXPECT_EQ(server_.stats().malformed, 1u);
}

TEST_P(ProtocolsTest, UsersAreCheckedInEveryLanguage) {
  Server server(loop_, proxy_, with_user());
  ServedClient socks5(loop_, server, GetParam());
  ByteVector bytes = bytes_of({5, 2, 0, 2});
  encode(Credentials{"anna", "secret"}, bytes);
  const ByteVector request = socks5_request();
  append(bytes, Bytes(request).subspan(3));
  socks5.send(bytes);
  dialed(1);
  EXPECT_TRUE(socks5.receives(bytes_of({5, 2, 1, 0})));
  ServedClient http(loop_, server, GetParam());
  http.send("CONNECT h.x:443 HTTP/1.1\r\nProxy-Authorization: Basic YW5uYTpzZWNyZXQ=\r\n\r\n");
  dialed(2);
  ServedClient wrong(loop_, server, GetParam());
  bytes = bytes_of({5, 1, 2});
  encode(Credentials{"anna", "Secret"}, bytes);
  wrong.send(bytes);
  EXPECT_TRUE(wrong.receives(bytes_of({5, 2, 1, 1})));
  EXPECT_TRUE(wrong.is_parted());
  ServedClient wrong_http(loop_, server, GetParam());
  wrong_http.send("CONNECT h.x:443 HTTP/1.1\r\nProxy-Authorization: Basic YW5uYTp4\r\n\r\n");
  EXPECT_TRUE(wrong_http.is_parted());
  EXPECT_EQ(wrong_http.text().substr(0, 12), "HTTP/1.1 407");
  ServedClient socks4(loop_, server, GetParam());
  socks4.send(kSocks4);
  EXPECT_TRUE(socks4.receives(bytes_of({0, 0x5b, 0, 0, 0, 0, 0, 0})));
  EXPECT_EQ(proxy_.calls.size(), 2u);
  EXPECT_EQ(server.stats().credentials_right, 2u);
  EXPECT_EQ(server.stats().credentials_wrong, 2u);
}

TEST(Exposure, AListenerForOthersNeedsAPassword) {
  for (const char* local :
       {"127.0.0.1:1080", "127.9.9.9:1", "[::1]:1080", "[::ffff:127.0.0.1]:1"}) {
    EXPECT_TRUE(check_exposure(*Endpoint::parse(local), false, false)) << local;
  }
  for (const char* open : {"0.0.0.0:1080", "[::]:1080", "192.0.2.1:1080", "[fe80::1]:1"}) {
    const auto checked = check_exposure(*Endpoint::parse(open), false, false);
    ASSERT_FALSE(checked) << open;
    EXPECT_EQ(checked.error().code, ErrorCode::usage);
    EXPECT_NE(checked.error().message.find("--socks-user"), std::string::npos);
    EXPECT_TRUE(check_exposure(*Endpoint::parse(open), true, false));
    EXPECT_TRUE(check_exposure(*Endpoint::parse(open), false, true));
  }
}

TEST(WayOut, IsChosenByUserAddressProtocolAndTarget) {
  io::Loop loop;
  FakeProxy annas(loop);
  FakeProxy others(loop);
  std::vector<ClientIdentity> asked;
  ServerOptions options = with_user();
  options.users.push_back({"bob", *hash_password("b")});
  const auto choose = [&](const ClientIdentity& client, const Request& request) -> Result<WayOut> {
    asked.push_back(client);
    if (request.target.port() == 25) return Error{ErrorCode::not_allowed, "no mail"};
    return WayOut{.proxy = client.user == "anna" ? &annas : &others};
  };
  Server server(loop, choose, options);
  const ClientPath path{*Endpoint::parse("192.0.2.1:1080"), *Endpoint::parse("192.0.2.9:5555")};
  const auto ask = [&](const Credentials& as, const Target& target) {
    auto client = std::make_unique<ServedClient>(loop, server, Manners{}, path);
    ByteVector bytes = bytes_of({5, 1, 2});
    encode(as, bytes);
    encode(Request{Command::connect, target}, bytes);
    client->send(bytes);
    return client;
  };
  const auto anna = ask({"anna", "secret"}, *Target::parse("h.x:80"));
  ASSERT_TRUE(run_until(loop, [&] { return annas.calls.size() == 1; }));
  EXPECT_EQ(asked[0].user, "anna");
  EXPECT_EQ(asked[0].protocol, Protocol::socks5);
  EXPECT_EQ(asked[0].peer, path.peer);
  const auto bob = ask({"bob", "b"}, *Target::parse("h.x:80"));
  ASSERT_TRUE(run_until(loop, [&] { return others.calls.size() == 1; }));
  const auto mail = ask({"bob", "b"}, *Target::parse("h.x:25"));
  EXPECT_TRUE(mail->receives(bytes_of({5, 2, 1, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0})));
  EXPECT_EQ(annas.calls.size() + others.calls.size(), 2u);
}

TEST(WayOut, MayBelongToTheConnection) {
  io::Loop loop;
  std::weak_ptr<FakeProxy> made;
  const auto choose = [&](const ClientIdentity&, const Request&) -> Result<WayOut> {
    auto own = std::make_shared<FakeProxy>(loop);
    made = own;
    return WayOut{.proxy = own.get(), .owner = own};
  };
  Server server(loop, choose);
  ServedClient client(loop, server);
  client.send(hello_and_request());
  ASSERT_TRUE(run_until(loop, [&] { return made.lock() && made.lock()->calls.size() == 1; }));
  auto target = made.lock()->succeed(0);
  ASSERT_TRUE(client.receives(greeted(0)));
  EXPECT_FALSE(made.expired());
  target->finish();
  client.stream->finish();
  EXPECT_TRUE(run_until(loop, [&] { return made.expired(); }));
}

TEST(WayOut, AnAnonymousClientHasNoName) {
  io::Loop loop;
  FakeProxy proxy(loop);
  std::optional<ClientIdentity> asked;
  const auto choose = [&](const ClientIdentity& client, const Request&) -> Result<WayOut> {
    asked = client;
    return WayOut{.proxy = &proxy};
  };
  Server server(loop, choose);
  ServedClient client(loop, server);
  client.send(bytes_of({4, 1, 0, 80, 1, 2, 3, 4, 'r', 'o', 'o', 't', 0}));
  ASSERT_TRUE(run_until(loop, [&] { return asked.has_value(); }));
  EXPECT_EQ(asked->user, "") << "SOCKS4's user is a claim";
  EXPECT_EQ(asked->protocol, Protocol::socks4);
  EXPECT_FALSE(asked->peer);
}

TEST(WayOut, WithoutMemoryRequestsAreRefused) {
  io::Loop loop;
  FakeProxy proxy(loop);
  Server server(loop, proxy);
  MemoryCharge others(loop.memory(), 1000);
  loop.memory().set_cap(1000);
  ServedClient socks5(loop, server);
  socks5.send(socks5_request());
  EXPECT_TRUE(socks5.receives(bytes_of({5, 0, 5, 1, 0, 1, 0, 0, 0, 0, 0, 0})));
  ServedClient http(loop, server);
  http.send(kHttp);
  EXPECT_TRUE(http.is_parted());
  EXPECT_EQ(http.text().substr(0, 12), "HTTP/1.1 503");
  EXPECT_NE(http.text().find("the memory that buffers may take"), std::string::npos);
  EXPECT_EQ(server.stats().over_limit, 2u);
  std::vector<std::unique_ptr<ServedClient>> silent;
  while (silent.size() <= Admission::kMaxRefusals) {
    silent.push_back(std::make_unique<ServedClient>(loop, server));
  }
  EXPECT_GE(server.stats().dropped, 1u) << "closed unheard";
  EXPECT_LE(server.half_open(), Admission::kMaxRefusals);
  silent.clear();
  others.set(0);
  ServedClient later(loop, server);
  later.send(kHttp);
  EXPECT_TRUE(run_until(loop, [&] { return proxy.calls.size() == 1; }));
}

}  // namespace
}  // namespace tunproxy::socks5
