#include "core/dns/fake_redirect.h"

#include <gtest/gtest.h>

#include <optional>

#include "core/dns/fake_peers.h"
#include "tests/unit/socks5/fake_datagrams.h"
#include "tests/unit/socks5/fake_proxy.h"

namespace tunproxy::dns {
namespace {

using testing::run_until;

const Endpoint kReal = *Endpoint::parse("192.0.2.7:443");
const IpAddress kUnknown = *IpAddress::parse("198.19.200.9");

TEST(FakeRedirect, ConnectsByTheName) {
  io::Loop loop;
  FakeTable table(0);
  testing::FakeProxy proxy(loop);
  FakeRedirect redirect(loop, table, proxy);
  const auto addresses = table.addresses_of("www.example.com");
  bool connected = false;
  auto a = redirect.connect({addresses.v4, 443}, [&](auto stream) { connected = bool(stream); });
  auto b = redirect.connect({addresses.v6, 80}, [](auto) {});
  auto c = redirect.connect(kReal, [](auto) {});
  auto d = redirect.connect(*Target::parse("other.example:1"), [](auto) {});
  ASSERT_EQ(proxy.calls.size(), 4u);
  EXPECT_EQ(proxy.calls[0].target, *Target::parse("www.example.com:443"));
  EXPECT_EQ(proxy.calls[1].target, *Target::parse("www.example.com:80"));
  EXPECT_EQ(proxy.calls[2].target, Target(kReal));
  EXPECT_EQ(proxy.calls[3].target, *Target::parse("other.example:1"));
  const auto far = proxy.succeed(0);
  EXPECT_TRUE(connected);
  b.reset();
  EXPECT_TRUE(proxy.calls[1].cancelled);
}

TEST(FakeRedirect, BindsForTheName) {
  io::Loop loop;
  FakeTable table(0);
  testing::FakeProxy proxy(loop);
  proxy.binds = true;
  FakeRedirect redirect(loop, table, proxy);
  const auto nobody = [](const Endpoint&) {};
  auto a = redirect.bind({{table.addresses_of("ftp.example.com").v4, 0}}, nobody, [](auto) {});
  auto b = redirect.bind({kReal}, nobody, [](auto) {});
  ASSERT_EQ(proxy.waiting.size(), 2u);
  EXPECT_EQ(proxy.waiting[0].expected.from, Target::from_host("ftp.example.com", 0));
  EXPECT_EQ(proxy.waiting[1].expected.from, Target(kReal));
  std::optional<ErrorCode> outcome;
  auto c = redirect.bind({{kUnknown, 0}}, nobody, [&](auto peer) { outcome = peer.error().code; });
  ASSERT_TRUE(run_until(loop, [&] { return outcome.has_value(); }));
  EXPECT_EQ(*outcome, ErrorCode::host_unreachable);
  EXPECT_EQ(proxy.waiting.size(), 2u);
  proxy.binds = false;
  EXPECT_FALSE(redirect.bind({kReal}, nobody, [](auto) {}));
}

TEST(FakeRedirect, AnAddressWithoutANameIsUnreachable) {
  io::Loop loop;
  FakeTable table(0);
  testing::FakeProxy proxy(loop);
  FakeRedirect redirect(loop, table, proxy);
  std::optional<ErrorCode> outcome;
  std::unique_ptr<net::Attempt> attempt;
  attempt = redirect.connect({kUnknown, 443}, [&](auto stream) {
    ASSERT_FALSE(stream);
    outcome = stream.error().code;
    attempt.reset();
  });
  EXPECT_FALSE(outcome) << "called from within connect()";
  ASSERT_TRUE(run_until(loop, [&] { return outcome.has_value(); }));
  EXPECT_EQ(*outcome, ErrorCode::host_unreachable);
  EXPECT_TRUE(proxy.calls.empty());
}

class FakeDatagramsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    below_.echo = false;
    attempt_ = datagrams_.associate(
        [this](const Endpoint& from, Bytes payload) {
          received_.emplace_back(from, std::string(as_text(payload)));
        },
        [this](const Error& error) { closed_ = error.code; },
        [this](auto session) {
          session_ = std::move(*session);
          attempt_.reset();
        });
    ASSERT_TRUE(run_until(loop_, [&] { return session_ != nullptr; }));
  }
  auto& association() { return *below_.all.at(0); }
  void send(const IpAddress& to, uint16_t port) { session_->send({to, port}, as_bytes("ask")); }
  // From whom the program sees a datagram of `from`.
  std::string shown(const std::string& from) {
    association().on_datagram(*Endpoint::parse(from), as_bytes("reply"));
    EXPECT_EQ(received_.back().second, "reply");
    return received_.back().first.to_string();
  }

  io::Loop loop_;
  FakeTable table_{0};
  testing::FakeDatagrams below_{loop_};
  FakeDatagrams datagrams_{loop_, table_, below_};
  const FakeTable::Addresses a_ = table_.addresses_of("a.example");  // 198.19.0.1
  const FakeTable::Addresses b_ = table_.addresses_of("b.example");  // 198.19.0.2
  std::vector<std::pair<Endpoint, std::string>> received_;
  std::optional<ErrorCode> closed_;
  std::unique_ptr<net::Attempt> attempt_;
  std::unique_ptr<net::DatagramSession> session_;
};

TEST_F(FakeDatagramsTest, SendsByNameAndShowsTheAddressThatWasUsed) {
  send(a_.v4, 443);
  ASSERT_EQ(association().sent.size(), 1u);
  EXPECT_EQ(association().sent[0].first, *Target::parse("a.example:443"));
  EXPECT_EQ(as_text(association().sent[0].second), "ask");
  EXPECT_EQ(shown("192.0.2.1:443"), "198.19.0.1:443");
  EXPECT_EQ(shown("192.0.2.1:443"), "198.19.0.1:443");  // and goes on
}

TEST_F(FakeDatagramsTest, TheFamilyOfTheProgramsSocketStays) {
  send(a_.v6, 443);
  EXPECT_EQ(shown("192.0.2.1:443"), "[" + a_.v6.to_string() + "]:443");
  send(b_.v4, 444);
  EXPECT_EQ(shown("[2001:db8::1]:444"), "198.19.0.2:444");
}

TEST_F(FakeDatagramsTest, RealAddressesPassBothWays) {
  session_->send(kReal, as_bytes("ask"));
  session_->send(*Target::parse("c.example:5"), as_bytes("ask"));
  EXPECT_EQ(association().sent[0].first, Target(kReal));
  EXPECT_EQ(association().sent[1].first, *Target::parse("c.example:5"));
  EXPECT_EQ(shown("192.0.2.7:443"), "192.0.2.7:443");
  EXPECT_EQ(shown("203.0.113.9:9"), "203.0.113.9:9");
}

TEST_F(FakeDatagramsTest, AnAddressThatWasSentToItselfIsNoNamesAnswer) {
  send(a_.v4, 443);
  session_->send(kReal, as_bytes("ask"));
  EXPECT_EQ(shown("192.0.2.7:443"), "192.0.2.7:443");
  EXPECT_EQ(shown("192.0.2.1:443"), "198.19.0.1:443");
}

TEST_F(FakeDatagramsTest, NamesOfDifferentPortsAreToldApart) {
  send(a_.v4, 1000);
  send(b_.v4, 2000);
  EXPECT_EQ(shown("192.0.2.2:2000"), "198.19.0.2:2000");
  EXPECT_EQ(shown("192.0.2.1:1000"), "198.19.0.1:1000");
  EXPECT_EQ(shown("192.0.2.3:3000"), "192.0.2.3:3000");  // neither
}

TEST_F(FakeDatagramsTest, OfNamesOfOnePortTheKnownGoesFirstThenWhoWaitsLongest) {
  send(a_.v4, 3478);
  EXPECT_EQ(shown("192.0.2.1:3478"), "198.19.0.1:3478");
  send(a_.v4, 3478);  // waits again, and has an address
  send(b_.v4, 3478);
  EXPECT_EQ(shown("192.0.2.2:3478"), "198.19.0.2:3478");
  EXPECT_EQ(shown("192.0.2.1:3478"), "198.19.0.1:3478");
  EXPECT_EQ(shown("192.0.2.2:3478"), "198.19.0.2:3478");
}

TEST_F(FakeDatagramsTest, StrangersKeepTheirAddresses) {
  send(a_.v4, 3478);
  EXPECT_EQ(shown("192.0.2.1:3478"), "198.19.0.1:3478");
  EXPECT_EQ(shown("192.0.2.9:3478"), "192.0.2.9:3478");  // nobody waits any more
}

TEST_F(FakeDatagramsTest, AServerMayGoOnFromAnotherPort) {
  send(a_.v4, 69);
  EXPECT_EQ(shown("192.0.2.1:69"), "198.19.0.1:69");
  EXPECT_EQ(shown("192.0.2.1:5000"), "198.19.0.1:5000");
}

TEST_F(FakeDatagramsTest, ToAnAddressWithoutANameNothingGoesAndTheSenderCanBeTold) {
  EXPECT_EQ(session_->refuses({kUnknown, 443}), ErrorCode::host_unreachable);
  EXPECT_FALSE(session_->refuses({a_.v4, 443}));
  EXPECT_FALSE(session_->refuses(kReal));
  send(kUnknown, 443);
  EXPECT_TRUE(association().sent.empty());
  EXPECT_EQ(table_.nameless_datagrams(), 1u);
}

TEST_F(FakeDatagramsTest, EndsAsTheOneBelow) {
  association().on_closed({ErrorCode::reset, "as the test wants it"});
  EXPECT_EQ(closed_, ErrorCode::reset);
  session_.reset();
  EXPECT_TRUE(association().destroyed);
}

TEST(FakeDatagrams, FailsAndIsCancelledAsTheOneBelow) {
  io::Loop loop;
  FakeTable table(0);
  testing::FakeDatagrams below(loop);
  below.at_once = false;
  FakeDatagrams datagrams(loop, table, below);
  std::optional<ErrorCode> failed;
  auto attempt = datagrams.associate([](auto&&...) {}, [](auto&&...) {},
                                     [&](auto session) { failed = session.error().code; });
  below.fail(0, ErrorCode::command_not_supported);
  EXPECT_EQ(failed, ErrorCode::command_not_supported);
  auto cancelled = datagrams.associate([](auto&&...) {}, [](auto&&...) {}, [](auto) { FAIL(); });
  cancelled.reset();
  EXPECT_TRUE(below.all[1]->cancelled);
}

TEST(FakePeers, ANameWaitsForABoundedTime) {
  FakePeers peers;
  const Endpoint fake = *Endpoint::parse("198.19.0.1:7");
  const Endpoint late = *Endpoint::parse("192.0.2.1:7");
  Instant now{};
  peers.sent_by_name(fake, now);
  now += FakePeers::kPatience + 1ms;
  EXPECT_EQ(peers.shown(late, now), late);
  peers.sent_by_name(fake, now);
  EXPECT_EQ(peers.shown(late, now + FakePeers::kPatience), fake);
}

TEST(FakePeers, WhoHasWaitedLongestGetsTheFirstAnswer) {
  FakePeers peers;
  const Endpoint a = *Endpoint::parse("198.19.0.1:7");
  const Endpoint b = *Endpoint::parse("198.19.0.2:7");
  Instant now{};
  peers.sent_by_name(a, now);
  now += FakePeers::kPatience + 1ms;
  peers.sent_by_name(b, now);
  peers.sent_by_name(a, now + 1ms);  // begins to wait anew
  peers.sent_by_name(b, now + 2ms);  // has not ceased to
  EXPECT_EQ(peers.shown(*Endpoint::parse("192.0.2.2:7"), now + 3ms), b);
  EXPECT_EQ(peers.shown(*Endpoint::parse("192.0.2.1:7"), now + 3ms), a);
}

TEST(FakePeers, WhoIsKnownGoesBeforeWhoWaits) {
  FakePeers peers;
  const Endpoint a = *Endpoint::parse("198.19.0.1:7");
  const Endpoint b = *Endpoint::parse("198.19.0.2:7");
  const Endpoint real = *Endpoint::parse("192.0.2.1:7");
  Instant now{};
  peers.sent_by_name(a, now);
  EXPECT_EQ(peers.shown(real, now), a);
  peers.sent_by_name(b, now);
  peers.sent_by_name(a, now + 1ms);
  EXPECT_EQ(peers.shown(real, now + 2ms), a);
}

TEST(FakePeers, IsBounded) {
  FakePeers peers;
  Instant now{};
  const auto fake = [](size_t i) {
    return Endpoint{*IpAddress::parse("198.19.0.1"), static_cast<uint16_t>(1000 + i)};
  };
  const auto real = [](size_t i) {
    return Endpoint{*IpAddress::parse("192.0.2.1"), static_cast<uint16_t>(1000 + i)};
  };
  for (size_t i = 0; i <= FakePeers::kMax; ++i) peers.sent_by_name(fake(i), now += 1ms);
  EXPECT_EQ(peers.shown(real(0), now), real(0));  // forgotten
  EXPECT_EQ(peers.shown(real(1), now), fake(1));
  EXPECT_EQ(peers.shown(real(FakePeers::kMax), now), fake(FakePeers::kMax));
  for (size_t i = 0; i <= FakePeers::kMax; ++i) peers.sent_directly(real(i), now += 1ms);
  peers.sent_by_name(fake(1), now);
  EXPECT_EQ(peers.shown(real(1), now), real(1));
}

}  // namespace
}  // namespace tunproxy::dns
