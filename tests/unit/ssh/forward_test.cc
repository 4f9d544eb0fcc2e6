// BIND over SSH: ports at a real sshd, and who may come to them.
#include <sys/socket.h>

#include <optional>
#include <utility>

#include "core/base/unique_fd.h"
#include "core/ssh/remote_forward.h"
#include "tests/unit/ssh/session_fixture.h"

namespace tunproxy::testing {
namespace {

const char* kLoopback = "127.0.0.1";

// One bind() and what became of it.
struct Bind {
  Bind(ssh::Session& session, const char* from,
       std::function<bool(const IpAddress&)> may_come = nullptr)
      : attempt(session.bind(
            {Target::from_host(from, 21), std::move(may_come)},
            [this](const Endpoint& at) { bound = at; },
            [this](Result<net::Accepted> outcome) { done = std::move(outcome); })) {}
  Bind(const Bind&) = delete;
  Bind& operator=(const Bind&) = delete;

  std::optional<Endpoint> bound;
  std::optional<Result<net::Accepted>> done;
  std::unique_ptr<net::Attempt> attempt;
};

class ForwardTest : public SessionTest {
 protected:
  std::unique_ptr<Bind> bind(const char* from = kLoopback) {
    auto bind = std::make_unique<Bind>(*session_, from);
    EXPECT_FALSE(bind->bound || bind->done) << "only from the loop";
    EXPECT_TRUE(run_until([&] { return bind->bound || bind->done; }));
    return bind;
  }

  // Connects to the port, from an address of its own.
  std::unique_ptr<net::Stream> knock(uint16_t port, const char* from = kLoopback,
                                     const char* to = kLoopback) {
    UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage address{};
    unsigned length = Endpoint{IpAddress::parse(from).value(), 0}.to_sockaddr(&address);
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    length = Endpoint{IpAddress::parse(to).value(), port}.to_sockaddr(&address);
    if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) return nullptr;
    return std::make_unique<io::TcpStream>(loop_, std::move(socket));
  }

  ErrorCode code_of_bind() {
    const auto refused = bind();
    EXPECT_FALSE(refused->bound);
    return refused->done && !*refused->done ? refused->done->error().code : ErrorCode::general;
  }
};

TEST_F(ForwardTest, OneConnectionComesAndCarriesBothWays) {
  constexpr uint64_t kBytes = 3 << 20;
  connect_session();
  const auto waiting = bind();
  ASSERT_TRUE(waiting->bound) << waiting->done->error().message;
  EXPECT_EQ(waiting->bound->address.to_string(), kLoopback);
  const std::vector<Endpoint> listening = sshd_->forwards();
  ASSERT_EQ(listening.size(), 1u);
  EXPECT_EQ(listening[0], *waiting->bound);

  Flow peer(knock(waiting->bound->port), {1, kBytes, 2, kBytes});
  ASSERT_TRUE(run_until([&] { return waiting->done.has_value(); }));
  ASSERT_TRUE(*waiting->done) << waiting->done->error().message;
  EXPECT_EQ((*waiting->done)->peer.address.to_string(), kLoopback);
  EXPECT_NE((*waiting->done)->peer.port, 0);
  Flow ours(std::move((*waiting->done)->stream), {2, kBytes, 1, kBytes});
  ASSERT_TRUE(run_until([&] { return ours.done() && peer.done(); }));
  EXPECT_TRUE(ours.intact() && peer.intact());
  // The listening has ended, though the attempt is still there.
  ASSERT_TRUE(run_until([&] { return sshd_->forwards().empty(); }));
}

TEST_F(ForwardTest, SeveralAtOnceGetEachItsOwn) {
  constexpr size_t kBinds = 20;
  connect_session();
  std::vector<std::unique_ptr<Bind>> binds;
  for (size_t i = 0; i < kBinds; ++i) {
    binds.push_back(std::make_unique<Bind>(*session_, kLoopback));
  }
  const auto all = [&](auto what) { return std::all_of(binds.begin(), binds.end(), what); };
  ASSERT_TRUE(run_until([&] { return all([](const auto& b) { return b->bound.has_value(); }); }));
  std::vector<std::unique_ptr<Flow>> flows;
  for (size_t i = kBinds; i-- > 0;) {  // not in the order in which they were asked for
    flows.push_back(
        std::make_unique<Flow>(knock(binds[i]->bound->port), Flow::Plan{i, 1000, 9, 10}));
  }
  ASSERT_TRUE(run_until([&] { return all([](const auto& b) { return b->done && *b->done; }); }));
  for (size_t i = 0; i < kBinds; ++i) {
    flows.push_back(
        std::make_unique<Flow>(std::move((*binds[i]->done)->stream), Flow::Plan{9, 10, i, 1000}));
  }
  ASSERT_TRUE(run_until([&] {
    return std::all_of(flows.begin(), flows.end(), [](const auto& flow) { return flow->done(); });
  }));
  for (const auto& flow : flows) EXPECT_TRUE(flow->intact());
}

TEST_F(ForwardTest, AServerThatForbidsItSaysSo) {
  for (const char* config : {"AllowTcpForwarding local", "AllowTcpForwarding no",
                             "PermitListen none", "DisableForwarding yes"}) {
    connect_session(config);
    const auto refused = bind();
    ASSERT_TRUE(refused->done) << config;
    EXPECT_EQ(refused->done->error().code, ErrorCode::not_allowed) << config;
    EXPECT_NE(refused->done->error().message.find("AllowTcpForwarding"), std::string::npos);
    session_.reset();
  }
}

TEST_F(ForwardTest, TakenBackItIsCancelledAlsoBeforeTheServerAnswered) {
  connect_session();
  for (int i = 0; i < 10; ++i) Bind(*session_, kLoopback);  // gone at once
  auto waiting = bind();                                    // answered after them
  ASSERT_TRUE(waiting->bound);
  ASSERT_TRUE(run_until([&] { return sshd_->forwards().size() == 1; }));
  EXPECT_EQ(sshd_->forwards()[0], *waiting->bound);
  waiting.reset();
  ASSERT_TRUE(run_until([&] { return sshd_->forwards().empty(); }));
}

TEST_F(ForwardTest, OnlyTheExpectedPeerMayCome) {
  connect_session();
  const auto waiting = bind("127.0.0.2");
  ASSERT_TRUE(waiting->bound);
  const auto stranger = knock(waiting->bound->port);
  ASSERT_NE(stranger, nullptr);
  stranger->on_progress([] {});
  ASSERT_TRUE(run_until([&] { return stranger->ended() || stranger->error() != nullptr; }));
  EXPECT_FALSE(waiting->done);
  const auto friendly = knock(waiting->bound->port, "127.0.0.2");
  ASSERT_TRUE(run_until([&] { return waiting->done.has_value(); }));
  ASSERT_TRUE(*waiting->done);
  EXPECT_EQ((*waiting->done)->peer.address.to_string(), "127.0.0.2");
}

TEST_F(ForwardTest, WhatThePeerSaysAtOnceIsNotLost) {
  connect_session();
  const auto waiting = bind();
  ASSERT_TRUE(waiting->bound);
  Flow peer(knock(waiting->bound->port), {1, 50000, 2, 0});
  ASSERT_TRUE(run_until([&] { return waiting->done && peer.sent_all(); }));
  Flow ours(std::move((*waiting->done)->stream), {2, 0, 1, 50000});
  ASSERT_TRUE(run_until([&] { return ours.done() && peer.done(); }));
  EXPECT_TRUE(ours.intact());
}

TEST_F(ForwardTest, TheServersConfigurationSaysWhoReachesIt) {
  ssh::SessionOptions options;
  options.server_address = IpAddress::parse("192.0.2.1").value();
  connect_session("GatewayPorts clientspecified", options);
  const auto open = bind("0.0.0.0");
  ASSERT_TRUE(open->bound);
  EXPECT_EQ(open->bound->address.to_string(), "192.0.2.1");
  ASSERT_EQ(sshd_->forwards().size(), 1u);
  EXPECT_TRUE(sshd_->forwards()[0].address.is_any());
  const auto peer = knock(open->bound->port, "127.0.0.3", "127.0.0.4");
  EXPECT_TRUE(run_until([&] { return open->done && *open->done; }));

  connect_session("GatewayPorts no");
  const auto closed = bind("0.0.0.0");
  ASSERT_TRUE(closed->bound);
  EXPECT_TRUE(closed->bound->address.is_any());  // what it is, is not known
  ASSERT_EQ(sshd_->forwards().size(), 1u);
  EXPECT_TRUE(sshd_->forwards()[0].address.is_loopback());
  EXPECT_EQ(knock(closed->bound->port, "127.0.0.3", "127.0.0.4"), nullptr);
}

// Whose addresses are not known here.
TEST_F(ForwardTest, OfANameNobodyMayCome) {
  connect_session();
  const auto waiting = bind("ftp.example");
  ASSERT_TRUE(waiting->done);
  EXPECT_EQ(waiting->done->error().code, ErrorCode::host_unreachable);
  EXPECT_TRUE(sshd_->forwards().empty());
}

TEST_F(ForwardTest, WhoMayComeIsAskedIfSomebodyKnows) {
  connect_session();
  std::vector<std::string> came;
  Bind waiting(*session_, "0.0.0.0", [&](const IpAddress& peer) {
    came.push_back(peer.to_string());
    return peer.to_string() == "127.0.0.5";
  });
  ASSERT_TRUE(run_until([&] { return waiting.bound.has_value(); }));
  for (const char* from : {"127.0.0.3", "127.0.0.4", "127.0.0.5"}) {
    const auto peer = knock(waiting.bound->port, from);
    ASSERT_TRUE(run_until([&] { return !came.empty() && came.back() == from; }));
    EXPECT_EQ(waiting.done.has_value(), came.size() == 3);
  }
  ASSERT_TRUE(run_until([&] { return waiting.done.has_value(); }));
  ASSERT_TRUE(*waiting.done);
  EXPECT_EQ((*waiting.done)->peer.address.to_string(), "127.0.0.5");
}

TEST_F(ForwardTest, EndsWithTheConnection) {
  connect_session();
  const auto listening = bind();
  ASSERT_TRUE(listening->bound);
  const Bind asking(*session_, kLoopback);
  sshd_->kill();
  ASSERT_TRUE(run_until([&] { return listening->done && asking.done; }));
  EXPECT_FALSE(*listening->done);
  EXPECT_EQ(listening->done->error().code, ErrorCode::reset);
  EXPECT_EQ(code_of_bind(), ErrorCode::host_unreachable);
}

TEST_F(ForwardTest, EndsWithTheSession) {
  connect_session();
  const auto listening = bind();
  const Bind asking(*session_, kLoopback);
  session_.reset();
  ASSERT_TRUE(run_until([&] { return listening->done && asking.done; }));
  EXPECT_FALSE(*listening->done);
  EXPECT_FALSE(*asking.done);
}

TEST_F(ForwardTest, TooManyAreRefusedHere) {
  connect_session();
  std::vector<std::unique_ptr<Bind>> binds;
  for (size_t i = 0; i < ssh::RemoteForwards::kMax; ++i) {
    binds.push_back(std::make_unique<Bind>(*session_, kLoopback));
  }
  EXPECT_EQ(code_of_bind(), ErrorCode::limit);
}

}  // namespace
}  // namespace tunproxy::testing
