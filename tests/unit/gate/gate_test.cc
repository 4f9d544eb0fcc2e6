#include "core/gate/gate.h"

#include "core/base/log.h"
#include "core/gate/observing_names.h"
#include "tests/unit/gate/gate_support.h"

namespace tunproxy::gate {
namespace {

using Stream = std::unique_ptr<net::Stream>;

class Gates : public testing::GateTest {
 protected:
  // Asks for `text`; outcome_ tells.
  void connect(const std::string& text) {
    outcome_.reset();
    attempt_ = gate_.connect(target(text), [this](Result<Stream> stream) {
      if (stream) stream_ = std::move(*stream);
      outcome_ = stream ? std::nullopt : std::optional(stream.error().code);
      done_ = true;
    });
    done_ = false;
  }
  bool asked(const testing::FakeProxy& way, size_t count) {
    return until([&] { return way.calls.size() >= count; });
  }
  void expect_denied(const std::string& text) {
    connect(text);
    EXPECT_FALSE(done_) << "called from within";
    ASSERT_TRUE(until([&] { return done_; }));
    EXPECT_EQ(outcome_, ErrorCode::not_allowed);
  }

  Gate gate_{keeper_, tunnel_, {account::Source::socks, "alice"}};
  std::unique_ptr<net::Attempt> attempt_;
  std::optional<ErrorCode> outcome_;
  Stream stream_;
  bool done_ = false;
};

TEST_F(Gates, WhatIsAllowedGoesThroughTheTunnelAndIsCounted) {
  set_rules("allow *.example\ndefault deny");
  connect("www.example:443");
  ASSERT_TRUE(asked(tunnel_, 1));
  EXPECT_EQ(tunnel_.calls[0].target, target("www.example:443"));
  auto far = tunnel_.succeed(0);
  ASSERT_TRUE(until([&] { return done_; }));
  ASSERT_TRUE(stream_);
  EXPECT_EQ(stream_->write(as_bytes("abc")), 3U);
  ASSERT_EQ(account_.flows().size(), 1U);
  const account::Flow& flow = account_.flows().front();
  EXPECT_EQ(flow.up, 3U);
  EXPECT_EQ(flow.rule, "line 1");
  EXPECT_EQ(flow.user, "alice");
  EXPECT_EQ(flow.state, account::State::open);
  stream_.reset();
  EXPECT_TRUE(account_.flows().empty());
  EXPECT_EQ(names_.queries, 0U);
}

TEST_F(Gates, WhatIsDeniedNeverReachesAWay) {
  set_rules("deny bad.example\ndeny 10.0.0.0/8\ndeny * user alice");
  expect_denied("bad.example");
  expect_denied("10.1.1.1");
  expect_denied("192.0.2.1");
  EXPECT_TRUE(tunnel_.calls.empty());
  EXPECT_TRUE(direct_.calls.empty());
  EXPECT_EQ(refused(ErrorCode::not_allowed), 3U);
  EXPECT_EQ(account_.counters().rules.at("line 1"), 1U);
  EXPECT_TRUE(account_.flows().empty());
}

TEST_F(Gates, WithoutMemoryNewFlowsAreRefusedAndOpenOnesStay) {
  connect("a.example");
  ASSERT_TRUE(asked(tunnel_, 1));
  auto far = tunnel_.succeed(0);
  ASSERT_TRUE(until([&] { return done_; }));
  EXPECT_EQ(loop_.memory().used(), account::Account::kFlowCost);
  loop_.memory().set_cap(account::Account::kFlowCost * 2);
  for (const char* host : {"b.example", "192.0.2.1"}) {
    connect(host);
    ASSERT_TRUE(until([&] { return done_; }));
    EXPECT_EQ(outcome_, ErrorCode::limit);
  }
  attempt_ = gate_.bind(
      {target("192.0.2.1")}, [](auto) { FAIL(); },
      [this](Result<net::Accepted> accepted) {
        outcome_ = accepted.error().code;
        done_ = true;
      });
  done_ = false;
  ASSERT_TRUE(attempt_);
  ASSERT_TRUE(until([&] { return done_; }));
  EXPECT_EQ(outcome_, ErrorCode::limit);
  EXPECT_EQ(refused(ErrorCode::limit), 3U);
  EXPECT_EQ(tunnel_.calls.size(), 1U);
  EXPECT_EQ(stream_->write(as_bytes("x")), 1U);
  stream_.reset();
  EXPECT_EQ(loop_.memory().used(), 0U);
  connect("c.example");
  EXPECT_TRUE(asked(tunnel_, 2));
}

TEST_F(Gates, PeopleAreToldOfALimitButNotOfEachFlow) {
  std::vector<std::string> lines;
  const auto sink = std::make_shared<log::Sink>();
  sink->write = [&](log::Level, std::string_view line) { lines.emplace_back(line); };
  const log::UseSink use(sink);
  loop_.memory().set_cap(1);
  for (int i = 0; i < 10; ++i) {
    connect("secret.example");
    ASSERT_TRUE(until([&] { return done_; }));
  }
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("--memory"), std::string::npos) << lines[0];
  EXPECT_EQ(lines[0].find("secret"), std::string::npos) << lines[0];
}

TEST_F(Gates, DirectGoesOutsideAndOnlyIfThereIsSuchAWay) {
  set_rules("direct *.lan\ndeny *");
  connect("printer.lan");
  ASSERT_TRUE(asked(direct_, 1));
  EXPECT_TRUE(tunnel_.calls.empty());
  keeper_.set_direct(nullptr, nullptr);
  expect_denied("printer.lan");
}

TEST_F(Gates, ANameIsLookedUpWhereItsAddressDecides) {
  set_rules("deny 10.0.0.0/8\ndeny 2001:db8::/32");
  names_.table["in.example"] = {"10.0.0.1", "2001:db8::1"};
  expect_denied("in.example");
  names_.table["mixed.example"] = {"10.0.0.1", "192.0.2.7", "2001:db8::1", "2001:db9::1"};
  connect("mixed.example:443");
  ASSERT_TRUE(asked(tunnel_, 1));
  EXPECT_EQ(tunnel_.calls[0].target, target("192.0.2.7:443"));
  tunnel_.fail(0, ErrorCode::refused);
  ASSERT_TRUE(asked(tunnel_, 2));
  EXPECT_EQ(tunnel_.calls[1].target, target("[2001:db9::1]:443"));
  tunnel_.fail(1, ErrorCode::network_unreachable);
  ASSERT_TRUE(until([&] { return done_; }));
  EXPECT_EQ(outcome_, ErrorCode::network_unreachable);
}

TEST_F(Gates, AnswersAreKeptForTheirTime) {
  set_rules("deny 10.0.0.0/8");
  names_.table["a.example"] = {"192.0.2.7"};
  for (unsigned i = 1; i <= 3; ++i) {
    connect(i == 2 ? "A.Example.:1" : "a.example:1");
    ASSERT_TRUE(asked(tunnel_, i));
    EXPECT_EQ(tunnel_.calls.back().target, target("192.0.2.7:1"));
  }
  EXPECT_EQ(names_.queries, 2U);  // A and AAAA, once
}

TEST_F(Gates, NamesThatAResolverTakesForOthersAreRefused) {
  set_rules("deny bad.example");
  for (const char* name :
       {"bad\u3002example", "\uff42ad.example", "b\\097d.example", "b\u00e4d.example"}) {
    connect(name);
    ASSERT_TRUE(until([&] { return done_; }));
    EXPECT_EQ(outcome_, ErrorCode::address_not_supported) << name;
  }
  EXPECT_TRUE(tunnel_.calls.empty());
}

TEST_F(Gates, AddressesOfTwoWaysDoNotMix) {
  set_rules("direct 192.0.2.0/24\ndeny 10.0.0.0/8");
  names_.table["a.example"] = {"192.0.2.7", "198.51.100.1", "192.0.2.8"};
  connect("a.example");
  ASSERT_TRUE(asked(direct_, 1));
  direct_.fail(0, ErrorCode::refused);
  ASSERT_TRUE(asked(direct_, 2));
  EXPECT_EQ(direct_.calls[1].target, target("192.0.2.8:80"));
  EXPECT_TRUE(tunnel_.calls.empty());
}

TEST_F(Gates, ANameWithoutAnAddressIsUnreachableAndOneThatCannotBeAskedForIsRefused) {
  set_rules("deny 10.0.0.0/8");
  for (const char* name : {"nothing.example", "127.1", "0x7f000001"}) {
    connect(name);
    ASSERT_TRUE(until([&] { return done_; }));
    EXPECT_EQ(outcome_, ErrorCode::host_unreachable) << name;
  }
  names_.code = 2;
  connect("broken.example");
  ASSERT_TRUE(until([&] { return done_; }));
  EXPECT_EQ(outcome_, ErrorCode::host_unreachable);
  keeper_.lookup().use(nullptr);
  expect_denied("unknown.example");
  EXPECT_TRUE(tunnel_.calls.empty());
}

TEST_F(Gates, NamesUnderWayAreBoundedAndCancelled) {
  set_rules("deny 10.0.0.0/8");
  names_.silent = true;
  std::vector<std::unique_ptr<net::Attempt>> attempts;
  for (size_t i = 0; i < Lookup::kMaxPending; ++i) {
    attempts.push_back(gate_.connect(target("a.example"), [](auto) { FAIL(); }));
  }
  connect("one.more.example");
  ASSERT_TRUE(until([&] { return done_; }));
  EXPECT_EQ(outcome_, ErrorCode::limit);
  attempts.clear();
  attempt_.reset();
  EXPECT_TRUE(account_.flows().empty());
  names_.silent = false;
  names_.table["b.example"] = {"192.0.2.7"};
  connect("b.example");
  EXPECT_TRUE(asked(tunnel_, 1));
}

TEST_F(Gates, AnAddressIsJudgedByTheNameThatItIsKnownBy) {
  set_rules("deny bad.example\ndirect *.lan");
  names_.table["bad.example"] = {"192.0.2.1"};
  names_.table["printer.lan"] = {"192.0.2.2"};
  ObservingNames observing(names_, keeper_.memory());
  for (const char* name : {"bad.example", "printer.lan"}) {
    bool answered = false;
    const auto query = address_query(name, kTypeA);
    const auto exchange =
        observing.exchange({}, *query, [&](const Result<ByteVector>&) { answered = true; });
    ASSERT_TRUE(until([&] { return answered; }));
  }
  expect_denied("192.0.2.1");
  connect("192.0.2.2");
  EXPECT_TRUE(asked(direct_, 1));
  connect("192.0.2.3");
  EXPECT_TRUE(asked(tunnel_, 1));
}

TEST_F(Gates, NewRulesHoldForNewFlowsAndOldFlowsStay) {
  connect("a.example");
  ASSERT_TRUE(asked(tunnel_, 1));
  auto far = tunnel_.succeed(0);
  ASSERT_TRUE(until([&] { return done_; }));
  set_rules("deny *");
  EXPECT_EQ(stream_->write(as_bytes("x")), 1U);
  expect_denied("a.example");
}

TEST_F(Gates, AStreamThatFailsIsNoComplete) {
  connect("a.example");
  ASSERT_TRUE(asked(tunnel_, 1));
  tunnel_.succeed(0);  // and its other end is gone at once
  ASSERT_TRUE(until([&] { return done_ && stream_->error() != nullptr; }));
  stream_.reset();
  EXPECT_EQ(account_.counters().complete, 0U);
  EXPECT_EQ(account_.counters().opened, 1U);
}

// A way with BIND: the test says who comes.
class BindingProxy final : public net::Proxy {
 public:
  explicit BindingProxy(io::Loop& loop) : loop_(loop) {}
  std::unique_ptr<net::Attempt> connect(const Target&, net::Done<Stream>) override {
    return nullptr;
  }
  std::unique_ptr<net::Attempt> bind(const net::Expected& expected, net::OnBound on_bound,
                                     net::Done<net::Accepted> done) override {
    asked = expected.from;
    may_come = expected.may_come;
    bound = std::move(on_bound);
    accepted = std::move(done);
    return std::make_unique<net::Attempt>();
  }
  /// As a way does it: true if that peer is let in.
  bool come(const Endpoint& peer) {
    if (may_come && !may_come(peer.address)) return false;
    auto [near, far] = testing::MemoryStream::make_pair(loop_);
    far_ = std::move(far);
    accepted(net::Accepted{std::move(near), peer});
    return true;
  }

  std::optional<Target> asked;
  std::function<bool(const IpAddress&)> may_come;
  net::OnBound bound;
  net::Done<net::Accepted> accepted;

 private:
  io::Loop& loop_;
  std::unique_ptr<testing::MemoryStream> far_;
};

class Binds : public Gates {
 protected:
  void bind(const std::string& from) {
    done_ = false;
    outcome_.reset();
    proxy_.asked.reset();
    attempt_ = gate_.bind(
        {target(from)}, [](const Endpoint&) {},
        [this](auto accepted) {
          outcome_ = accepted ? std::nullopt : std::optional(accepted.error().code);
          done_ = true;
        });
  }
  bool comes(const char* peer) { return proxy_.come(*Endpoint::parse(peer)); }
  bool taken() {
    return until([&] { return done_; }) && !outcome_;
  }
  bool denied() {
    return until([&] { return done_; }) && outcome_ == ErrorCode::not_allowed;
  }

  BindingProxy proxy_{loop_};
  Gate gate_{keeper_, proxy_, {account::Source::socks, ""}};
};

TEST_F(Binds, RulesDecideWhoMayCome) {
  set_rules("deny 10.0.0.0/8\nallow *.example\nallow 192.0.2.0/24\ndefault deny");
  bind("10.0.0.1:20");
  EXPECT_TRUE(denied());
  bind("203.0.113.1:20");
  EXPECT_TRUE(denied());
  names_.table["ftp.example"] = {"198.51.100.7"};
  bind("ftp.example:20");
  ASSERT_TRUE(until([&] { return proxy_.asked.has_value(); }));
  EXPECT_EQ(*proxy_.asked, target("198.51.100.7:20"));
  bind("192.0.2.1:20");
  ASSERT_TRUE(proxy_.asked);
  EXPECT_TRUE(comes("192.0.2.1:20"));
  EXPECT_TRUE(taken());
}

TEST_F(Binds, OnlyTheAddressesOfANameMayCome) {
  set_rules("allow ftp.example\ndefault deny");
  names_.table["ftp.example"] = {"198.51.100.7", "198.51.100.8", "2001:db8::7"};
  bind("ftp.example:20");
  ASSERT_TRUE(until([&] { return proxy_.asked.has_value(); }));
  EXPECT_EQ(*proxy_.asked, target("198.51.100.7:20"));
  EXPECT_FALSE(comes("203.0.113.1:20"));
  EXPECT_FALSE(done_) << "who may not come ends nothing";
  EXPECT_TRUE(comes("198.51.100.8:20"));
  EXPECT_TRUE(taken());

  bind("nowhere.example:20");
  EXPECT_TRUE(denied());
  set_rules("");
  bind("nowhere.example:20");
  ASSERT_TRUE(until([&] { return done_; }));
  EXPECT_EQ(outcome_, ErrorCode::host_unreachable);
  EXPECT_FALSE(proxy_.asked);
}

TEST_F(Binds, TheAddressesOfANameThatAreDeniedMayNotCome) {
  set_rules("deny 198.51.100.7\nallow ftp.example\ndefault deny");
  names_.table["ftp.example"] = {"198.51.100.7", "198.51.100.8"};
  bind("ftp.example:20");
  ASSERT_TRUE(until([&] { return proxy_.asked.has_value(); }));
  EXPECT_EQ(*proxy_.asked, target("198.51.100.8:20"));
  EXPECT_FALSE(comes("198.51.100.7:20"));
  EXPECT_TRUE(comes("198.51.100.8:20"));
  names_.table["one.example"] = {"198.51.100.7"};
  bind("one.example:20");
  EXPECT_TRUE(denied());
}

TEST_F(Binds, WhereNobodyCanBeAskedTheFarEndKnowsTheName) {
  keeper_.lookup().use(nullptr);
  bind("ftp.example:20");
  ASSERT_TRUE(proxy_.asked);
  EXPECT_EQ(*proxy_.asked, target("ftp.example:20"));
  set_rules("deny 10.0.0.0/8");
  bind("ftp.example:20");
  EXPECT_TRUE(denied()) << "a rule about addresses has to know them";
}

TEST_F(Binds, WhereAnybodyMayComeEachThatComesIsJudged) {
  set_rules("allow 192.0.2.0/24\ndefault deny");
  bind("0.0.0.0:20");
  ASSERT_TRUE(proxy_.asked);
  EXPECT_FALSE(comes("203.0.113.1:9"));
  EXPECT_FALSE(comes("203.0.113.2:9"));
  EXPECT_FALSE(done_) << "who may not come ends nothing";
  EXPECT_TRUE(comes("192.0.2.1:9"));
  EXPECT_TRUE(taken());
  set_rules("default deny");
  bind("0.0.0.0:20");
  EXPECT_TRUE(denied());
  EXPECT_FALSE(proxy_.asked);
}

TEST_F(Binds, AWayWithoutBindIsToldAtOnce) {
  EXPECT_EQ(Gates::gate_.bind(
                {target("192.0.2.1:20")}, [](const Endpoint&) {}, [](auto) {}),
            nullptr);
  EXPECT_EQ(refused(ErrorCode::command_not_supported), 1U);
}

}  // namespace
}  // namespace tunproxy::gate
