#include "core/socks5/client.h"

#include <gtest/gtest.h>

#include "core/socks5/server.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/socks5/fake_proxy.h"

namespace tunproxy::socks5 {
namespace {

using testing::FakeProxy;
using testing::run_until;

const Endpoint kLoopback{*IpAddress::parse("127.0.0.1"), 0};

class ClientTest : public ::testing::Test {
 protected:
  // A port of this machine on which nobody listens.
  Endpoint closed_port() {
    return (*io::TcpListener::listen(loop_, kLoopback, [](auto) {}))->local();
  }
  std::optional<Error> probe(Client& client) {
    std::optional<Result<void>> outcome;
    const auto attempt = client.probe([&](Result<void> result) { outcome = std::move(result); });
    EXPECT_TRUE(run_until(loop_, [&] { return outcome.has_value(); }));
    if (!outcome || *outcome) return std::nullopt;
    return outcome->error();
  }
  std::optional<Error> connect(Client& client) {
    std::optional<Result<std::unique_ptr<net::Stream>>> outcome;
    const auto attempt = client.connect(Target::from_host("example.com", 443),
                                        [&](auto result) { outcome = std::move(result); });
    EXPECT_TRUE(run_until(loop_, [&] { return outcome.has_value(); }));
    if (!outcome || *outcome) return std::nullopt;
    return outcome->error();
  }

  io::Loop loop_;
  FakeProxy proxy_{loop_};
};

TEST_F(ClientTest, AProbeGreetsAndMakesNoRequest) {
  auto server = Server::listen(loop_, kLoopback, proxy_);
  ASSERT_TRUE(server);
  Client client(loop_, (*server)->local());
  EXPECT_FALSE(probe(client));
  EXPECT_TRUE(run_until(loop_, [&] { return (*server)->connections() == 0; }));
  EXPECT_TRUE(proxy_.calls.empty());
}

TEST_F(ClientTest, AServerThatIsNotThereIsToldFromAFlowThatFails) {
  const Endpoint nobody = closed_port();
  Client client(loop_, nobody);
  const auto at_start = probe(client);
  ASSERT_TRUE(at_start);
  EXPECT_EQ(at_start->code, ErrorCode::server_unreachable);
  EXPECT_NE(at_start->message.find("cannot reach the SOCKS5 server " + nobody.to_string()),
            std::string::npos)
      << at_start->message;
  const auto later = connect(client);
  ASSERT_TRUE(later);
  EXPECT_EQ(later->code, ErrorCode::host_unreachable);
}

TEST_F(ClientTest, ARefusedPasswordFailsTheProbe) {
  ServerOptions server_options;
  server_options.users = {{"u", *hash_password("p")}};
  auto server = Server::listen(loop_, kLoopback, proxy_, server_options);
  ASSERT_TRUE(server);
  ClientOptions options;
  options.negotiate.account = Account{"u", Secret("wrong")};
  Client client(loop_, (*server)->local(), options);
  const auto error = probe(client);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, ErrorCode::authentication_failed);
  EXPECT_EQ(connect(client)->code, ErrorCode::host_unreachable);
}

TEST_F(ClientTest, TheOutcomeOfTheTargetComesThrough) {
  auto server = Server::listen(loop_, kLoopback, proxy_);
  ASSERT_TRUE(server);
  Client client(loop_, (*server)->local());
  std::optional<ErrorCode> outcome;
  const auto attempt = client.connect(Target::from_host("example.com", 443),
                                      [&](auto result) { outcome = result.error().code; });
  ASSERT_TRUE(run_until(loop_, [&] { return proxy_.calls.size() == 1; }));
  EXPECT_EQ(proxy_.calls[0].target, Target::from_host("example.com", 443));
  proxy_.fail(0, ErrorCode::refused);
  EXPECT_TRUE(run_until(loop_, [&] { return outcome.has_value(); }));
  EXPECT_EQ(*outcome, ErrorCode::refused);
}

TEST_F(ClientTest, LooksTheServersNameUpOnceAndKeepsWhatAnswered) {
  auto server = Server::listen(loop_, kLoopback, proxy_);
  ASSERT_TRUE(server);
  Client client(loop_, Target::from_host("localhost", (*server)->local().port));
  EXPECT_TRUE(client.addresses().empty());
  EXPECT_FALSE(probe(client));
  ASSERT_FALSE(client.addresses().empty());
  EXPECT_EQ(client.addresses().front(), (*server)->local());
}

TEST_F(ClientTest, CancellingClosesTheConnectionToTheServer) {
  auto server = Server::listen(loop_, kLoopback, proxy_);
  ASSERT_TRUE(server);
  Client client(loop_, (*server)->local());
  auto attempt = client.connect(Target::from_host("example.com", 443), [](auto) { FAIL(); });
  ASSERT_TRUE(run_until(loop_, [&] { return proxy_.calls.size() == 1; }));
  attempt.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return proxy_.calls[0].cancelled; }));
}

}  // namespace
}  // namespace tunproxy::socks5
