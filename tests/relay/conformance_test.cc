// What a client of either helper can rely on: associations as full cones, names, limits, the end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "core/udp/relay_bootstrap.h"
#include "tests/relay/helper_process.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::testing {
namespace {

using ::testing::HasSubstr;

class RelayHelper : public ::testing::TestWithParam<Kind> {
 protected:
  void start(std::vector<std::string> arguments = {}, ByteVector program = {}) {
    helper_ = std::make_unique<HelperProcess>(helper_command(GetParam(), std::move(arguments)));
    udp::RelayOptions options;
    options.program = std::move(program);
    options.probe_timeout = 60s;  // a machine under load is no failure of the helper
    options.queue.age = 60s;
    auto client = start_client(loop_, helper_->stream(loop_), options);
    if (!client) throw std::runtime_error(client.error().message + helper_->errors());
    client_ = *std::move(client);
  }
  /// Ends the channel; what --stats printed.
  std::string finish() {
    client_.reset();
    EXPECT_EQ(helper_->wait(loop_), 0) << helper_->errors();
    return helper_->errors();
  }

  io::Loop loop_;
  std::unique_ptr<HelperProcess> helper_;
  std::unique_ptr<udp::RelayClient> client_;
};

INSTANTIATE_TEST_SUITE_P(Both, RelayHelper, ::testing::Values(Kind::cpp, Kind::python), kind_name);

TEST_P(RelayHelper, EchoesOverBothFamilies) {
  start();
  EchoServer v4(loop_);
  EchoServer v6(loop_, "::1");
  Flow flow(loop_, *client_);
  flow.send(v4.local(), "four");
  ASSERT_TRUE(flow.wait_for(1));
  flow.send(v6.local(), "six");
  ASSERT_TRUE(flow.wait_for(2));
  EXPECT_EQ(flow.received[0], std::pair(v4.local(), std::string("four")));
  EXPECT_EQ(flow.received[1], std::pair(v6.local(), std::string("six")));
}

TEST_P(RelayHelper, CarriesTheLargestAndTheEmptyDatagram) {
  start();
  for (const char* address : {"127.0.0.1", "::1"}) {
    EchoServer server(loop_, address);
    Flow flow(loop_, *client_);
    std::string large(io::UdpSocket::kMaxPayload, 'x');
    std::iota(large.begin(), large.end(), '\0');
    flow.send(server.local(), large);
    flow.send(server.local(), "");
    ASSERT_TRUE(flow.wait_for(2));
    EXPECT_EQ(flow.received[0].second, large);
    EXPECT_EQ(flow.received[1].second, "");
  }
}

TEST_P(RelayHelper, AnyoneMayAnswerAnAssociation) {
  start();
  EchoServer asked(loop_);
  EchoServer stranger(loop_);
  Flow flow(loop_, *client_);
  flow.send(asked.local(), "here I am");
  ASSERT_TRUE(flow.wait_for(1));
  stranger.send(asked.seen.at(0), "from elsewhere");
  ASSERT_TRUE(flow.wait_for(2));
  EXPECT_EQ(flow.received[1], std::pair(stranger.local(), std::string("from elsewhere")));
}

TEST_P(RelayHelper, OneAssociationIsOnePortAndTwoAreTwo) {
  start();
  EchoServer a(loop_);
  EchoServer b(loop_);
  Flow first(loop_, *client_);
  Flow second(loop_, *client_);
  first.send(a.local(), "1");
  first.send(b.local(), "2");
  second.send(a.local(), "3");
  ASSERT_TRUE(first.wait_for(2) && second.wait_for(1));
  EXPECT_EQ(second.received[0].second, "3");
  const uint16_t port = b.seen.at(0).port;
  ASSERT_EQ(a.seen.size(), 2u);
  EXPECT_EQ(std::count_if(a.seen.begin(), a.seen.end(),
                          [port](const Endpoint& from) { return from.port == port; }),
            1);
}

TEST_P(RelayHelper, LooksNamesUp) {
  start({"--stats"});
  EchoServer server(loop_);
  Flow flow(loop_, *client_);
  flow.send(Target::from_host("no-such-name.invalid", 9), "lost");
  for (const char* text : {"one", "two", "three"}) {
    flow.send(Target::from_host("localhost", server.local().port), text);
  }
  EchoServer v6(loop_, "::1");  // where "localhost" may lead as well
  ASSERT_TRUE(run_until(loop_, [&] { return flow.received.size() >= 3 || !v6.seen.empty(); }));
  flow.send(Target::from_host("localhost", server.local().port), "four");
  ASSERT_TRUE(flow.wait_for(4));
  EXPECT_EQ(flow.received[3], std::pair(server.local(), std::string("four")));
}

TEST_P(RelayHelper, SurvivesPeersThatRefuse) {
  start();
  Endpoint nobody;
  {
    EchoServer gone(loop_);
    nobody = gone.local();
  }
  loop_.run_once(false);
  EchoServer server(loop_);
  Flow flow(loop_, *client_);
  for (int i = 0; i < 10; ++i) {
    flow.send(nobody, "refused");
    flow.send(*Endpoint::parse("255.255.255.255:9"), "not allowed");
    flow.send(Target(server.local().address, 0), "no port");
  }
  flow.send(server.local(), "still here");
  ASSERT_TRUE(flow.wait_for(1));
}

TEST_P(RelayHelper, RefusesWhatItIsToldToDeny) {
  start({"--stats", "--deny", "10.0.0.0/8,127.0.0.0/8", "--deny", "2001:db8::/32"});
  EchoServer v4(loop_);
  EchoServer v6(loop_, "::1");
  Flow flow(loop_, *client_);
  const uint16_t port = v4.local().port;
  flow.send(v4.local(), "no");
  flow.send(*Endpoint::parse("[::ffff:127.0.0.1]:1", port), "no");
  flow.send({IpAddress(), port}, "no: the system takes it for 127.0.0.1");
  flow.send(Endpoint{*IpAddress::parse("2001:db8::1"), 9}, "no");
  flow.send(v6.local(), "yes");
  ASSERT_TRUE(flow.wait_for(1));
  EXPECT_EQ(flow.received[0].second, "yes");
  EXPECT_TRUE(v4.seen.empty());
  flow.session.reset();
  EXPECT_THAT(finish(), HasSubstr("denied=4"));
}

TEST_P(RelayHelper, EnforcesTheRulesOfTheClient) {
  start({"--deny", "127.0.0.2"});
  EchoServer asked(loop_);
  EchoServer other(loop_);
  EchoServer owners(loop_, "127.0.0.2");
  EchoServer v6(loop_, "::1");
  const uint16_t port = asked.local().port;
  const rules::FarRule but{false, *Cidr::parse("127.0.0.0/8"), {port, port}};
  const rules::FarRule none{true, *Cidr::parse("127.0.0.0/8"), {}};
  Flow flow(loop_, *client_);
  flow.send(other.local(), "before");  // so that what is known of it has to be forgotten
  ASSERT_TRUE(flow.wait_for(1));
  client_->enforce({but, none, {true, *Cidr::parse("::/0"), {}}});
  flow.send(Target(*IpAddress::parse("::ffff:127.0.0.1"), other.local().port), "no");
  flow.send(other.local(), "no");
  flow.send({IpAddress(), other.local().port}, "no: the system takes it for 127.0.0.1");
  flow.send(v6.local(), "no");
  flow.send(asked.local(), "yes");
  ASSERT_TRUE(flow.wait_for(2));
  EXPECT_EQ(flow.received[1].second, "yes");
  client_->enforce({{false, *Cidr::parse("0.0.0.0/0"), {}}});
  flow.send(owners.local(), "the owner's stay");
  flow.send(other.local(), "again");
  flow.send(v6.local(), "again");
  ASSERT_TRUE(flow.wait_for(4));
  EXPECT_EQ(other.seen.size(), 2u);
  EXPECT_TRUE(owners.seen.empty());
  ASSERT_TRUE(run_until(loop_, [&] { return client_->counters().helper.denied == 5; }));
}

TEST_P(RelayHelper, TakesAsManyRulesAsThereMayBe) {
  start();
  EchoServer server(loop_);
  Flow flow(loop_, *client_);
  std::vector<rules::FarRule> rules;
  for (size_t i = 0; i < udp::Rules::kMaxRules - 1; ++i) {
    const uint8_t bytes[16] = {
        0x20, 1, 0xd, 0xb8, 0, 0, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
    rules.push_back({true, {IpAddress::v6(bytes), 128}, {1, 1000}});
  }
  rules.push_back({true, *Cidr::parse("127.0.0.0/8"), {1, 1}});
  rules.push_back({true, *Cidr::parse("127.0.0.0/8"), {}});  // one too many
  client_->enforce(rules);
  ASSERT_TRUE(run_until(loop_, [&] {  // what is sent while the helper reads them grows too old
    flow.send(server.local(), "hello");
    return !flow.received.empty();
  }));
  flow.send({server.local().address, 1}, "denied");
  ASSERT_TRUE(run_until(loop_, [&] { return client_->counters().helper.denied == 1; }));
}

TEST_P(RelayHelper, TellsWhatItDropped) {
  start();
  Flow flow(loop_, *client_);
  flow.send(Target(*IpAddress::parse("127.0.0.1"), 0), "no port");
  flow.send(Target::from_host("no-such-name.invalid", 9), "no address");
  ASSERT_TRUE(run_until(loop_, [&] {
    const udp::Stats& told = client_->counters().helper;
    return told.failed == 1 && told.unresolved == 1;
  }));
  EXPECT_EQ(client_->counters().helper, (udp::Stats{.failed = 1, .unresolved = 1}));
}

TEST_P(RelayHelper, ClosesIdleAssociations) {
  start({"--idle-ms", "2000"});
  EchoServer server(loop_);
  Flow flow(loop_, *client_);
  flow.send(server.local(), "hello");
  ASSERT_TRUE(flow.wait_for(1));
  ASSERT_TRUE(run_until(loop_, [&] { return flow.closed.has_value(); }));
  EXPECT_EQ(flow.closed->message, "idle");
  flow.send(server.local(), "too late");
  Flow fresh(loop_, *client_);
  fresh.send(server.local(), "again");
  EXPECT_TRUE(fresh.wait_for(1));
  EXPECT_EQ(client_->associations(), fresh.closed ? 0u : 1u);
}

TEST_P(RelayHelper, LimitsAssociationsAndServesTheNextOneAfterAClose) {
  start({"--max-associations=2"});
  EXPECT_EQ(client_->helper().max_associations, 2u);
  Flow first(loop_, *client_);
  auto second = std::make_unique<Flow>(loop_, *client_);
  Flow third(loop_, *client_);
  ASSERT_TRUE(third.failure);
  EXPECT_EQ(third.failure->code, ErrorCode::limit);
  second.reset();
  Flow fourth(loop_, *client_);
  EXPECT_FALSE(fourth.failure);
}

TEST_P(RelayHelper, KeepsTheOrderAndCountsWhatItLoses) {
  start();
  EchoServer server(loop_);
  Flow flow(loop_, *client_);
  constexpr size_t kCount = 5000;
  constexpr size_t kUnderWay = 32;
  // A busy machine may hold one so long that it grows too old.
  const auto settled = [&] {
    const auto counters = client_->counters();
    return flow.received.size() + counters.queue.sum() + counters.helper.too_old;
  };
  for (size_t i = 0; i < kCount; ++i) {
    flow.send(server.local(), std::to_string(i));
    ASSERT_TRUE(run_until(loop_, [&] { return settled() + kUnderWay > i; })) << i;
  }
  ASSERT_TRUE(run_until(loop_, [&] { return settled() >= kCount; }));
  EXPECT_EQ(settled(), kCount);
  EXPECT_GT(flow.received.size(), kCount / 2);
  std::optional<size_t> last;
  for (const auto& [from, payload] : flow.received) {
    const size_t number = std::stoul(payload);
    EXPECT_TRUE(!last || number > *last) << number;
    last = number;
  }
}

TEST_P(RelayHelper, PassesOverTheProgramThatItDoesNotNeed) {
  const Bytes program = udp::relay_program();
  start({}, ByteVector(program.begin(), program.end()));
  EchoServer server(loop_);
  Flow flow(loop_, *client_);
  flow.send(server.local(), "hello");
  EXPECT_TRUE(flow.wait_for(1));
}

TEST_P(RelayHelper, EndsWithItsStdin) {
  start({"--stats"});
  Flow flow(loop_, *client_);
  flow.session.reset();
  EXPECT_THAT(finish(), HasSubstr("sent=0"));
}

TEST_P(RelayHelper, TellsEverybodyWhenItDies) {
  start();
  Flow flow(loop_, *client_);
  std::optional<Error> closed;
  client_->on_closed([&](const Error& error) { closed = error; });
  ::kill(helper_->pid(), SIGKILL);
  ASSERT_TRUE(run_until(loop_, [&] { return closed.has_value(); }));
  EXPECT_TRUE(flow.closed);
  flow.send(*Endpoint::parse("127.0.0.1:9"), "into the void");
  Flow late(loop_, *client_);
  EXPECT_TRUE(late.failure);
}

}  // namespace
}  // namespace tunproxy::testing
