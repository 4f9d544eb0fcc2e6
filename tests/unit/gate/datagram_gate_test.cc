#include "core/gate/datagram_gate.h"

#include "core/gate/datagram_session.h"
#include "tests/unit/gate/gate_support.h"
#include "tests/unit/socks5/fake_datagrams.h"

namespace tunproxy::gate {
namespace {

class DatagramGates : public testing::GateTest {
 protected:
  DatagramGates() {
    keeper_.set_direct(&direct_, &direct_udp_);
    open();
  }
  void open() {
    attempt_ = gate_.associate(
        [this](const Endpoint& from, Bytes payload) {
          replies_.push_back(from.to_string() + " " + std::string(as_text(payload)));
        },
        [this](const Error&) { closed_ = true; },
        [this](Result<std::unique_ptr<net::DatagramSession>> session) {
          ASSERT_TRUE(session) << session.error().message;
          session_ = std::move(*session);
        });
    ASSERT_TRUE(until([&] { return session_ != nullptr; }));
  }
  void send(const std::string& to, std::string_view text = "x") {
    session_->send(target(to), as_bytes(text));
  }
  std::vector<std::string> sent(const testing::FakeDatagrams& way) const {
    std::vector<std::string> targets;
    if (way.all.empty()) return targets;
    for (const auto& [to, payload] : way.all.back()->sent) targets.push_back(to.to_string());
    return targets;
  }
  using List = std::vector<std::string>;

  testing::FakeDatagrams tunnel_udp_{loop_};
  testing::FakeDatagrams direct_udp_{loop_};
  DatagramGate gate_{keeper_, &tunnel_udp_, {account::Source::tun, ""}};
  std::unique_ptr<net::Attempt> attempt_;
  std::unique_ptr<net::DatagramSession> session_;
  List replies_;
  bool closed_ = false;
};

TEST_F(DatagramGates, WithoutMemoryThereIsNoFurtherAssociation) {
  loop_.memory().set_cap(2 * account::Account::kFlowCost);
  std::optional<ErrorCode> outcome;
  const auto another = gate_.associate([](auto&&...) { FAIL(); }, [](const Error&) { FAIL(); },
                                       [&](Result<std::unique_ptr<net::DatagramSession>> session) {
                                         ASSERT_FALSE(session);
                                         outcome = session.error().code;
                                       });
  EXPECT_FALSE(outcome) << "called from within";
  ASSERT_TRUE(until([&] { return outcome.has_value(); }));
  EXPECT_EQ(outcome, ErrorCode::limit);
  EXPECT_EQ(refused(ErrorCode::limit), 1U);
  EXPECT_EQ(tunnel_udp_.all.size(), 1U);
  send("192.0.2.1:53");
  EXPECT_EQ(sent(tunnel_udp_), List{"192.0.2.1:53"});
}

TEST_F(DatagramGates, WhatWaitsIsChargedAndBounded) {
  set_rules("deny 10.0.0.0/8");
  names_.silent = true;
  const size_t before = loop_.memory().used();
  const std::string large(60000, 'x');
  for (int i = 0; i < 5; ++i) send("a.example:53", large);
  EXPECT_EQ(dropped(account::Drop::waiting), 4U);
  EXPECT_GE(loop_.memory().used() - before, large.size());
  loop_.memory().set_cap(1024 * 1024);  // then one association may hold much less
  send("a.example:53", "x");
  EXPECT_EQ(dropped(account::Drop::waiting), 5U);
  session_.reset();
  EXPECT_EQ(loop_.memory().used(), 0U);
}

TEST_F(DatagramGates, EachDestinationIsJudged) {
  set_rules("deny udp 10.0.0.0/8\ndeny tcp *\ndirect *:123");
  send("192.0.2.1:53");
  send("10.0.0.1:53");
  send("192.0.2.2:123");
  EXPECT_EQ(sent(tunnel_udp_), List{"192.0.2.1:53"});
  ASSERT_TRUE(until([&] { return replies_.size() == 2; }));
  EXPECT_EQ(sent(direct_udp_), List{"192.0.2.2:123"});
  EXPECT_EQ(dropped(account::Drop::denied), 1U);
  EXPECT_EQ(session_->refuses(target("10.0.0.1:53")), ErrorCode::not_allowed);
  EXPECT_FALSE(session_->refuses(target("192.0.2.1:53")));
  EXPECT_FALSE(session_->refuses(target("192.0.2.2:123")));
  const account::Flow& flow = account_.flows().front();
  EXPECT_EQ(flow.up, 2U);
  EXPECT_EQ(flow.carrier, "other");
  const auto& carriers = account_.counters().carriers;
  ASSERT_EQ(carriers.size(), 1U);  // both ways are of the test
  EXPECT_EQ(carriers.at("other").flows, 2U);
  EXPECT_EQ(carriers.at("other").datagrams_up, 2U);
  EXPECT_EQ(carriers.at("other").up, 2U);
  EXPECT_EQ(carriers.at("other").datagrams_down, 2U);
  EXPECT_EQ(carriers.at("other").down, 2U);
  EXPECT_EQ(flow.down, 2U);
  EXPECT_EQ(flow.target, target("192.0.2.1:53"));
  EXPECT_EQ(account_.counters().rules.at("line 1"), 1U);
}

TEST_F(DatagramGates, NewRulesHoldAtOnce) {
  send("192.0.2.1:53");
  set_rules("deny *");
  send("192.0.2.1:53");
  EXPECT_EQ(sent(tunnel_udp_).size(), 1U);
  set_rules("allow *");
  send("192.0.2.1:53");
  EXPECT_EQ(sent(tunnel_udp_).size(), 2U);
}

TEST_F(DatagramGates, NamesWaitForTheirAddressesWhereTheseDecide) {
  set_rules("deny 10.0.0.0/8");
  names_.table["in.example"] = {"10.0.0.1"};
  names_.table["out.example"] = {"10.0.0.1", "192.0.2.7"};
  send("in.example:53");
  send("out.example:53", "1");
  send("out.example:53", "2");
  EXPECT_FALSE(session_->refuses(target("in.example:53"))) << "not known yet";
  ASSERT_TRUE(until([&] { return sent(tunnel_udp_).size() == 2; }));
  EXPECT_EQ(sent(tunnel_udp_), (List{"192.0.2.7:53", "192.0.2.7:53"}));
  EXPECT_EQ(tunnel_udp_.all[0]->sent[1].second, ByteVector{'2'});
  EXPECT_EQ(session_->refuses(target("in.example:53")), ErrorCode::not_allowed);
  EXPECT_EQ(dropped(account::Drop::denied), 1U);
  send("nothing.example:53");
  ASSERT_TRUE(until([&] { return dropped(account::Drop::unresolved) == 1; }));
  EXPECT_EQ(session_->refuses(target("nothing.example:53")), ErrorCode::host_unreachable);
}

TEST_F(DatagramGates, WhatWaitsIsBoundedAndTheOldestGoes) {
  set_rules("deny 10.0.0.0/8");
  names_.silent = true;
  const size_t most = DatagramGateSession::kMaxWaiting;
  for (size_t i = 0; i < most + 3; ++i) send("a.example:53", std::to_string(i));
  EXPECT_EQ(dropped(account::Drop::waiting), 3U);
  send("a.example:53", std::string(65507, 'x'));
  EXPECT_EQ(dropped(account::Drop::waiting), 4U) << "the bytes suffice for one as long as can be";
  send("a.example:53", std::string(65507, 'y'));
  EXPECT_EQ(dropped(account::Drop::waiting), 4 + most) << "not for two";
  for (int i = 0; i < 100; ++i) send("a" + std::to_string(i) + ".example:53");
  EXPECT_GT(dropped(account::Drop::unresolved), 0U);
}

TEST_F(DatagramGates, TheLatestOfWhatWaitedGoesOn) {
  set_rules("deny 10.0.0.0/8");
  names_.table["a.example"] = {"192.0.2.7"};
  for (int i = 0; i < 40; ++i) send("a.example:53", std::to_string(i));
  ASSERT_TRUE(until([&] { return sent(tunnel_udp_).size() == 32; }));
  const auto& all = tunnel_udp_.all[0]->sent;
  EXPECT_EQ(as_text(all.front().second), "8");
  EXPECT_EQ(as_text(all.back().second), "39");
}

TEST_F(DatagramGates, ManyDestinationsAreForgottenNotKept) {
  set_rules("deny *:9");
  for (unsigned i = 0; i < 5000; ++i) {
    send("192.0." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ":53");
  }
  EXPECT_EQ(sent(tunnel_udp_).size(), 5000U);
  send("192.0.2.1:9");
  EXPECT_EQ(dropped(account::Drop::denied), 1U);
}

TEST_F(DatagramGates, ARunOfDatagramsToOneDestinationIsOneDecision) {
  set_rules("deny *:9\nallow *:53");
  for (int i = 0; i < 10; ++i) send("192.0.2.1:53");
  for (int i = 0; i < 10; ++i) send("192.0.2.2:53");
  EXPECT_EQ(account_.counters().rules.at("line 2"), 2U);
}

TEST_F(DatagramGates, ManyNamesAreEachAskedOnceAtATime) {
  set_rules("deny 10.0.0.0/8");
  names_.silent = true;
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < DatagramGateSession::kMaxLookups; ++i) {
      send("n" + std::to_string(i) + ".example:53");
    }
  }
  EXPECT_EQ(names_.queries, 2 * DatagramGateSession::kMaxLookups) << "A and AAAA";
}

TEST_F(DatagramGates, TheEndOfTheTunnelsAssociationIsItsEnd) {
  set_rules("direct *:123");
  send("192.0.2.2:123");
  tunnel_udp_.all[0]->on_closed(Error{ErrorCode::reset, "gone"});
  EXPECT_TRUE(closed_);
  EXPECT_TRUE(account_.flows().empty());
  send("192.0.2.1:53");
  loop_.run_once(false);
  EXPECT_TRUE(replies_.empty());
  EXPECT_EQ(dropped(account::Drop::closed), 2U) << "the one that waited for its socket as well";
}

TEST_F(DatagramGates, NamesThatAResolverTakesForOthersAreDropped) {
  set_rules("deny bad.example");
  send("bad\u3002example:53");
  send("b\\097d.example:53");
  EXPECT_EQ(session_->refuses(target("bad\u3002example:53")), ErrorCode::address_not_supported);
  EXPECT_TRUE(sent(tunnel_udp_).empty());
  EXPECT_EQ(dropped(account::Drop::unresolved), 2U);
}

TEST_F(DatagramGates, ATunnelThatCarriesNoneLeavesTheWayOutside) {
  tunnel_udp_.at_once = false;
  for (const bool outside : {false, true}) {
    set_rules(outside ? "direct *:123" : "allow *");
    session_.reset();
    std::optional<ErrorCode> failure;
    attempt_ = gate_.associate([](auto&&...) {}, [](const Error&) {},
                               [&](auto session) {
                                 if (session) session_ = std::move(*session);
                                 if (!session) failure = session.error().code;
                               });
    tunnel_udp_.fail(tunnel_udp_.all.size() - 1, ErrorCode::host_unreachable);
    EXPECT_EQ(failure.has_value(), !outside);
    EXPECT_EQ(session_ != nullptr, outside);
  }
  send("192.0.2.1:123");
  EXPECT_TRUE(until([&] { return sent(direct_udp_).size() == 1; }));
  EXPECT_EQ(session_->refuses(target("192.0.2.1:53")), ErrorCode::command_not_supported);
}

TEST_F(DatagramGates, WithoutATunnelOnlyTheWayOutsideIsThere) {
  DatagramGate only_direct(keeper_, nullptr, {account::Source::socks, ""});
  EXPECT_FALSE(only_direct.carries());
  set_rules("direct *:123");  // read again, while the gate is there
  EXPECT_TRUE(only_direct.carries());
  session_.reset();
  attempt_ = only_direct.associate([](auto&&...) {}, [](const Error&) {},
                                   [this](auto session) { session_ = std::move(*session); });
  ASSERT_TRUE(until([&] { return session_ != nullptr; }));
  EXPECT_EQ(session_->refuses(target("192.0.2.1:53")), ErrorCode::command_not_supported);
  send("192.0.2.1:53");
  EXPECT_EQ(dropped(account::Drop::no_way), 1U);
  send("192.0.2.1:123");
  ASSERT_TRUE(until([&] { return sent(direct_udp_).size() == 1; }));
  session_.reset();
  for (const bool without_rule : {true, false}) {
    set_rules(without_rule ? "" : "direct *:123");
    if (!without_rule) keeper_.set_direct(nullptr, nullptr);
    EXPECT_FALSE(only_direct.carries());
    std::optional<ErrorCode> failure;
    attempt_ = only_direct.associate([](auto&&...) {}, [](const Error&) {},
                                     [&](auto session) { failure = session.error().code; });
    ASSERT_TRUE(until([&] { return failure.has_value(); }));
    EXPECT_EQ(failure, ErrorCode::command_not_supported);
  }
}

}  // namespace
}  // namespace tunproxy::gate
