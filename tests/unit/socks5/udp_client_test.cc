// The client's side of UDP ASSOCIATE: against our server, and against servers that the test
// scripts.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "core/socks5/client.h"
#include "core/socks5/reply.h"
#include "core/socks5/server.h"
#include "tests/unit/socks5/fake_datagrams.h"
#include "tests/unit/socks5/fake_proxy.h"
#include "tests/unit/socks5/udp_peer.h"
#include "tests/unit/socks5/wire_support.h"

namespace tunproxy::socks5 {
namespace {

using testing::bytes_of;
using testing::encoded;
using testing::FakeDatagrams;
using testing::FakeProxy;
using testing::run_until;
using testing::UdpPeer;

const Target kTarget = *Target::parse("198.51.100.7:4500");

ByteVector text(std::string_view words) {
  return {as_bytes(words).begin(), as_bytes(words).end()};
}

// An association of a Client, and what came of it.
struct Association {
  Association(io::Loop& loop, Client& client) : loop_(loop) {
    attempt = client.associate(
        [this](const Endpoint& from, Bytes data) {
          got.emplace_back(from, ByteVector(data.begin(), data.end()));
        },
        [this](const Error& error) { closed.push_back(error.code); },
        [this](auto result) {
          if (result) {
            session = std::move(*result);
          } else {
            failed = result.error().code;
          }
          attempt.reset();
        });
  }
  bool opens() const {
    return run_until(loop_, [&] { return session || failed; }) && session;
  }
  bool fails_with(ErrorCode code) const {
    return run_until(loop_, [&] { return session || failed; }) && failed == code;
  }
  bool receives(size_t count) const {
    return run_until(loop_, [&] { return got.size() >= count; });
  }

  io::Loop& loop_;
  std::unique_ptr<net::Attempt> attempt;
  std::unique_ptr<net::DatagramSession> session;
  std::optional<ErrorCode> failed;
  std::vector<std::pair<Endpoint, ByteVector>> got;
  std::vector<ErrorCode> closed;
};

class UdpBothTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto server = Server::listen(loop_, {*IpAddress::parse(GetParam()), 0}, proxy_);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    server_->carry_datagrams(&datagrams_);
    client_ = std::make_unique<Client>(loop_, server_->local());
  }

  io::Loop loop_;
  FakeProxy proxy_{loop_};
  FakeDatagrams datagrams_{loop_};
  std::unique_ptr<Server> server_;
  std::unique_ptr<Client> client_;
};

INSTANTIATE_TEST_SUITE_P(Loopback, UdpBothTest, ::testing::Values("127.0.0.1", "::1"),
                         [](const auto& each) { return each.param[0] == ':' ? "IPv6" : "IPv4"; });

TEST_P(UdpBothTest, CarriesAllKindsOfAddressesBothWays) {
  Association association(loop_, *client_);
  ASSERT_TRUE(association.opens());
  const std::vector<Target> targets = {kTarget, *Target::parse("[2001:db8::1]:53"),
                                       Target::from_host("example.com", 443)};
  for (const Target& target : targets) {
    for (const ByteVector& data : {ByteVector(), text("hello"), ByteVector(65000, 7)}) {
      association.got.clear();
      association.session->send(target, data);
      ASSERT_TRUE(association.receives(1)) << target.to_string();
      EXPECT_EQ(datagrams_.all[0]->sent.back(), std::pair(target, data));
      const Endpoint source =
          target.is_name() ? FakeDatagrams::named() : Endpoint{target.address(), target.port()};
      EXPECT_EQ(association.got[0], std::pair(source, data));
    }
  }
  EXPECT_EQ(client_->udp_stats().up, 9u);
  EXPECT_EQ(client_->udp_stats().down, 9u);
  EXPECT_EQ(client_->udp_stats().dropped() + server_->udp_stats().dropped(), 0u);
}

TEST_P(UdpBothTest, CarriesTheLongestThatFits) {
  Association association(loop_, *client_);
  ASSERT_TRUE(association.opens());
  const bool v4 = server_->local().address.is_v4();
  const ByteVector longest(v4 ? 65507 - 10 : 65507, 0x5a);
  association.session->send(kTarget, longest);
  ASSERT_TRUE(association.receives(1));
  EXPECT_EQ(association.got[0].second, longest);
  association.session->send(kTarget, ByteVector(v4 ? longest.size() + 1 : 65518, 1));
  EXPECT_EQ(client_->udp_stats().too_long, 1u);
}

TEST_P(UdpBothTest, AssociationsAreApart) {
  Association one(loop_, *client_);
  Association two(loop_, *client_);
  ASSERT_TRUE(one.opens() && two.opens());
  one.session->send(kTarget, text("one"));
  two.session->send(kTarget, text("two"));
  ASSERT_TRUE(one.receives(1) && two.receives(1));
  EXPECT_EQ(one.got[0].second, text("one"));
  EXPECT_EQ(two.got[0].second, text("two"));
  EXPECT_EQ(server_->associations(), 2u);
}

TEST_P(UdpBothTest, DestroyingTheSessionEndsItAtTheServer) {
  Association association(loop_, *client_);
  ASSERT_TRUE(association.opens());
  association.session.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return datagrams_.all[0]->destroyed; }));
  EXPECT_TRUE(association.closed.empty());
}

TEST_P(UdpBothTest, TellsOnceThatItWasClosed) {
  Association lost(loop_, *client_);
  Association reset(loop_, *client_);
  ASSERT_TRUE(lost.opens() && reset.opens());
  datagrams_.all[0]->on_closed({ErrorCode::reset, "the far end is gone"});
  ASSERT_TRUE(run_until(loop_, [&] { return !lost.closed.empty(); }));
  lost.session->send(kTarget, text("too late"));
  server_.reset();
  ASSERT_TRUE(run_until(loop_, [&] { return !reset.closed.empty(); }));
  EXPECT_EQ(lost.closed, std::vector{ErrorCode::reset});
  EXPECT_EQ(reset.closed, std::vector{ErrorCode::reset});
  EXPECT_EQ(client_->udp_stats().up, 0u);
}

TEST_P(UdpBothTest, ReportsWhereUdpIsNotCarried) {
  server_->carry_datagrams(nullptr);
  Association association(loop_, *client_);
  EXPECT_TRUE(association.fails_with(ErrorCode::command_not_supported));
}

TEST_P(UdpBothTest, CancellingClosesTheConnection) {
  datagrams_.at_once = false;
  Association association(loop_, *client_);
  ASSERT_TRUE(run_until(loop_, [&] { return datagrams_.all.size() == 1; }));
  association.attempt.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return datagrams_.all[0]->cancelled; }));
  EXPECT_FALSE(association.failed);
}

TEST_P(UdpBothTest, AServerThatIsNotThereIsAHostThatCannotBeReached) {
  server_.reset();
  Association association(loop_, *client_);
  EXPECT_TRUE(association.fails_with(ErrorCode::host_unreachable));
}

TEST_P(UdpBothTest, PreparesItsUdpSocketsToo) {
  std::vector<int> types;
  bool refuse_udp = false;
  ClientOptions options;
  options.dial.prepare = [&](int fd) -> Result<void> {
    int type = 0;
    socklen_t length = sizeof type;
    ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length);
    types.push_back(type);
    if (refuse_udp && type == SOCK_DGRAM) return Error{ErrorCode::no_permission, "no mark"};
    return {};
  };
  Client client(loop_, server_->local(), options);
  Association allowed(loop_, client);
  ASSERT_TRUE(allowed.opens());
  EXPECT_EQ(types, (std::vector<int>{SOCK_STREAM, SOCK_DGRAM}));
  refuse_udp = true;
  Association refused(loop_, client);
  EXPECT_TRUE(refused.fails_with(ErrorCode::no_permission));
}

// A server that agrees to everything with the reply that the test wants.
class ScriptedServer {
 public:
  ScriptedServer(io::Loop& loop, Reply reply) : reply_(std::move(reply)) {
    listener_ = std::move(*io::TcpListener::listen(loop, {*IpAddress::parse("127.0.0.1"), 0},
                                                   [this](std::unique_ptr<io::TcpStream> stream) {
                                                     stream_ = std::move(stream);
                                                     stream_->on_progress([this] { answer(); });
                                                   }));
  }
  Endpoint local() const { return listener_->local(); }
  net::Stream& stream() { return *stream_; }
  bool left() const { return stream_->ended() || stream_->error() != nullptr; }

 private:
  void answer() {
    for (Bytes bytes = stream_->peek(); !bytes.empty(); bytes = stream_->peek()) {
      append(received_, bytes);
      stream_->consume(bytes.size());
    }
    if (std::exchange(greeted_, greeted_ || received_.size() >= 3) != greeted_) {
      stream_->write(bytes_of({5, 0}));
    }
    if (std::exchange(replied_, replied_ || received_.size() >= 3 + 10) != replied_) {
      stream_->write(encoded(reply_));
    }
  }

  const Reply reply_;
  ByteVector received_;
  bool greeted_ = false;
  bool replied_ = false;
  std::unique_ptr<io::TcpStream> stream_;
  std::unique_ptr<io::TcpListener> listener_;
};

class UdpClientTest : public ::testing::Test {
 protected:
  // Opens an association at a server whose reply has `bound`, and learns where it sends from.
  void open(const Target& bound) {
    association_.reset();
    server_ = std::make_unique<ScriptedServer>(loop_, Reply{kSucceeded, bound});
    client_ = std::make_unique<Client>(loop_, server_->local());
    association_ = std::make_unique<Association>(loop_, *client_);
    ASSERT_TRUE(association_->opens());
    association_->session->send(kTarget, text("hello"));
    ASSERT_TRUE(relay_.receives(1));
    EXPECT_EQ(relay_.got[0].wire, encoded(Datagram{0, kTarget, text("hello")}));
    source_ = relay_.got[0].from;
  }
  bool dropped(const uint64_t UdpStats::*reason, uint64_t count) {
    return run_until(loop_, [&] { return client_->udp_stats().*reason == count; }) &&
           client_->udp_stats().dropped() == count;
  }

  io::Loop loop_;
  UdpPeer relay_{loop_, "127.0.0.1"};
  std::unique_ptr<ScriptedServer> server_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Association> association_;
  Endpoint source_;
};

TEST_F(UdpClientTest, AnyAddressMeansTheServers) {
  for (const char* any : {"0.0.0.0", "::", "::ffff:0.0.0.0", "127.0.0.1", "::ffff:127.0.0.1"}) {
    SCOPED_TRACE(any);
    relay_.got.clear();
    open(Target(*IpAddress::parse(any), relay_.local().port));
    EXPECT_EQ(source_.address, *IpAddress::parse("127.0.0.1"));
  }
}

TEST_F(UdpClientTest, TheRelayMayBeOfTheOtherFamily) {
  UdpPeer relay(loop_, "::1");
  ScriptedServer server(loop_, Reply{kSucceeded, relay.local()});
  Client client(loop_, server.local());
  Association association(loop_, client);
  ASSERT_TRUE(association.opens());
  association.session->send(kTarget, text("hello"));
  EXPECT_TRUE(relay.receives(1));
}

TEST_F(UdpClientTest, AnAddressOfNoUseFails) {
  for (const Target& bound : {Target::from_host("localhost", 53), Target()}) {
    ScriptedServer server(loop_, Reply{kSucceeded, bound});
    Client client(loop_, server.local());
    Association association(loop_, client);
    EXPECT_TRUE(association.fails_with(ErrorCode::host_unreachable)) << bound.to_string();
    EXPECT_TRUE(run_until(loop_, [&] { return server.left(); }));
  }
}

TEST_F(UdpClientTest, EveryReplyHasItsMeaning) {
  for (const ErrorCode code :
       {ErrorCode::command_not_supported, ErrorCode::general, ErrorCode::not_allowed}) {
    ScriptedServer server(loop_, Reply{reply_for_error(code), {}});
    Client client(loop_, server.local());
    Association association(loop_, client);
    EXPECT_TRUE(association.fails_with(code));
  }
}

TEST_F(UdpClientTest, TakesDatagramsOfTheRelayAlone) {
  open(relay_.local());
  UdpPeer neighbour(loop_, "127.0.0.1");
  UdpPeer stranger(loop_, "127.0.0.2");
  const ByteVector wire = encoded(Datagram{0, kTarget, text("x")});
  neighbour.send(source_, wire);
  stranger.send(source_, wire);
  EXPECT_TRUE(dropped(&UdpStats::stranger, 2));
  relay_.send(source_, wire);
  ASSERT_TRUE(association_->receives(1));
  EXPECT_EQ(association_->got.size(), 1u);
}

TEST_F(UdpClientTest, DropsWhatMakesNoSense) {
  open(relay_.local());
  relay_.send(source_, {});
  relay_.send(source_, bytes_of({0, 0, 0, 1, 1, 2, 3}));
  relay_.send(source_, encoded(Datagram{0, Target::from_host("example.com", 53), text("a name")}));
  EXPECT_TRUE(run_until(loop_, [&] { return client_->udp_stats().malformed == 3; }));
  relay_.send(source_, encoded(Datagram{1, kTarget, text("part")}));
  EXPECT_TRUE(run_until(loop_, [&] { return client_->udp_stats().fragment == 1; }));
  EXPECT_TRUE(association_->got.empty());
}

TEST_F(UdpClientTest, WhatTheServerSaysOnTheConnectionIsOfNoMeaningAndItsEndIs) {
  open(relay_.local());
  server_->stream().write(ByteVector(1000, 'x'));
  relay_.send(source_, encoded(Datagram{0, kTarget, text("x")}));
  ASSERT_TRUE(association_->receives(1));
  EXPECT_TRUE(association_->closed.empty());
  server_->stream().finish();
  ASSERT_TRUE(run_until(loop_, [&] { return !association_->closed.empty(); }));
  relay_.send(source_, encoded(Datagram{0, kTarget, text("late")}));
  loop_.run_once();
  EXPECT_EQ(association_->got.size(), 1u);
}

}  // namespace
}  // namespace tunproxy::socks5
