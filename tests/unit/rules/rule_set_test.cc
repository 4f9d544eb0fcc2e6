#include "core/rules/rule_set.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

namespace tunproxy::rules {
namespace {

RuleSet rules_of(const std::string& text) {
  auto parsed = parse_rules(text);
  EXPECT_TRUE(parsed) << parsed.error().message;
  return RuleSet(std::move(*parsed));
}

// "tcp host:port [user] [@address]" judged, as "action line" (line 0: the default), with "?" behind
// it where the address is needed.
std::string judge(const RuleSet& set, Protocol protocol, const std::string& name,
                  const std::string& address, uint16_t port, const std::string& user) {
  const IpAddress parsed = address.empty() ? IpAddress() : *IpAddress::parse(address);
  const Verdict verdict =
      set.judge({protocol, name, address.empty() ? nullptr : &parsed, port, user});
  const unsigned line = verdict.rule == Verdict::kDefault ? 0 : set.rules()[verdict.rule].line;
  return std::string(to_string(verdict.action)) + " " + std::to_string(line) +
         (verdict.needs_address ? "?" : "");
}

constexpr const char* kRules =
    "deny tcp *.corp.internal:25,1000-2000 user alice\n"  // 1
    "allow mail.corp.internal\n"                          // 2
    "deny *.corp.internal\n"                              // 3
    "allow 10.1.0.0/16\n"                                 // 4
    "deny 10.0.0.0/8\n"                                   // 5
    "direct udp *:123\n"                                  // 6
    "deny 2001:db8::/32\n"                                // 7
    "deny 127.0.0.0/8\n"                                  // 8
    "deny ::1\n"                                          // 9
    "direct * user bob\n"                                 // 10
    "default allow\n";

struct Case {
  const char* name;
  const char* address;
  uint16_t port;
  const char* user;
  Protocol protocol;
  const char* expected;
};

class Judge : public ::testing::TestWithParam<Case> {};

TEST_P(Judge, TheFirstMatchWins) {
  const Case& c = GetParam();
  EXPECT_EQ(judge(rules_of(kRules), c.protocol, c.name, c.address, c.port, c.user), c.expected);
}

constexpr auto kTcp = Protocol::tcp;
constexpr auto kUdp = Protocol::udp;

INSTANTIATE_TEST_SUITE_P(
    Table, Judge,
    ::testing::Values(Case{"mail.corp.internal", "", 25, "alice", kTcp, "deny 1"},
                      Case{"mail.corp.internal", "", 1000, "alice", kTcp, "deny 1"},
                      Case{"mail.corp.internal", "", 2000, "alice", kTcp, "deny 1"},
                      Case{"mail.corp.internal", "", 2001, "alice", kTcp, "tunnel 2"},
                      Case{"mail.corp.internal", "", 25, "alice", kUdp, "tunnel 2"},
                      Case{"mail.corp.internal", "", 25, "bob", kTcp, "tunnel 2"},
                      Case{"mail.corp.internal", "", 25, "", kTcp, "tunnel 2"},
                      Case{"MAIL.Corp.INTERNAL.", "", 80, "", kTcp, "tunnel 2"},
                      Case{"mail.corp.internal", "10.0.0.1", 80, "", kTcp, "tunnel 2"},
                      Case{"www.corp.internal", "", 80, "", kTcp, "deny 3"},
                      Case{"a.b.corp.internal", "", 80, "", kTcp, "deny 3"},
                      Case{"corp.internal", "", 80, "", kTcp, "tunnel 0?"},
                      Case{"evilcorp.internal", "", 80, "", kTcp, "tunnel 0?"},
                      Case{"mail.corp.internal.example", "", 80, "", kTcp, "tunnel 0?"},
                      Case{"example.org", "10.1.2.3", 80, "", kTcp, "tunnel 4"},
                      Case{"example.org", "10.2.2.3", 80, "", kTcp, "deny 5"},
                      Case{"", "10.2.2.3", 80, "bob", kTcp, "deny 5"},
                      Case{"", "11.2.2.3", 80, "bob", kTcp, "direct 10"},
                      Case{"", "11.2.2.3", 80, "", kTcp, "tunnel 0"},
                      Case{"", "11.2.2.3", 123, "", kUdp, "direct 6"},
                      Case{"example.org", "", 123, "", kUdp, "direct 6?"},
                      Case{"", "2001:db8::1", 123, "", kUdp, "direct 6"},
                      Case{"", "2001:db8::1", 123, "", kTcp, "deny 7"},
                      Case{"", "2001:db9::1", 123, "", kTcp, "tunnel 0"},
                      Case{"", "::ffff:10.2.2.3", 80, "", kTcp, "deny 5"},
                      Case{"", "127.0.0.1", 80, "", kTcp, "deny 8"},
                      Case{"", "0.0.0.0", 80, "", kTcp, "deny 8"},
                      Case{"", "::", 80, "", kTcp, "deny 9"},
                      Case{"", "::ffff:0.0.0.0", 80, "", kTcp, "deny 8"}));

TEST(RuleSet, WithoutRulesEverythingGoesThroughTheTunnel) {
  const RuleSet set;
  EXPECT_TRUE(set.trivial());
  EXPECT_EQ(judge(set, kTcp, "example.org", "", 1, ""), "tunnel 0");
  EXPECT_FALSE(rules_of("default direct").trivial());
  EXPECT_FALSE(rules_of("allow a\ndeny b").trivial());
  EXPECT_TRUE(rules_of("allow a").trivial());
}

TEST(RuleSet, ANameIsResolvedOnlyWhereARuleAboutAddressesCouldDecide) {
  const RuleSet set = rules_of("allow a.example\ndeny udp 10.0.0.0/8:53\ndeny 9.0.0.0/8 user eve");
  EXPECT_EQ(judge(set, kTcp, "a.example", "", 53, ""), "tunnel 1");
  EXPECT_EQ(judge(set, kTcp, "b.example", "", 53, ""), "tunnel 0");
  EXPECT_EQ(judge(set, kUdp, "b.example", "", 53, ""), "tunnel 0?");
  EXPECT_EQ(judge(set, kUdp, "b.example", "", 54, ""), "tunnel 0");
  EXPECT_EQ(judge(set, kTcp, "b.example", "", 54, "eve"), "tunnel 0?");
}

TEST(RuleSet, TheFirstOfManyRulesAboutOneHostDecides) {
  std::string text;
  for (int port = 1000; port < 3000; ++port) {  // lines 1 to 2000
    text +=
        "deny tcp 10.0.0.0/8:" + std::to_string(port) + (port % 2 == 0 ? " user alice\n" : "\n");
  }
  text += "deny 10.0.0.0/8:1-60000\nallow udp 10.0.0.0/8";
  const RuleSet set = rules_of(text);
  EXPECT_EQ(judge(set, kTcp, "", "10.0.0.1", 1001, ""), "deny 2");
  EXPECT_EQ(judge(set, kTcp, "", "10.0.0.1", 2998, "alice"), "deny 1999");
  EXPECT_EQ(judge(set, kTcp, "", "10.0.0.1", 2998, "bob"), "deny 2001");
  EXPECT_EQ(judge(set, kUdp, "", "10.0.0.1", 2998, "alice"), "deny 2001");
  EXPECT_EQ(judge(set, kUdp, "", "10.0.0.1", 60001, ""), "tunnel 2002");
  EXPECT_EQ(judge(set, kTcp, "", "10.0.0.1", 60001, ""), "tunnel 0");
  EXPECT_EQ(judge(set, kTcp, "a.example", "", 1001, ""), "tunnel 0?");
  EXPECT_EQ(judge(set, kTcp, "a.example", "", 60001, ""), "tunnel 0");
}

TEST(RuleSet, NamesOfAnyLengthAreJudged) {
  const RuleSet set = rules_of("deny *.example");
  EXPECT_EQ(judge(set, kTcp, std::string(400, 'a') + ".example", "", 1, ""), "tunnel 0");
  EXPECT_EQ(judge(set, kTcp, std::string(247, 'a') + ".example", "", 1, ""), "deny 1");
  EXPECT_EQ(judge(set, kTcp, ".", "", 1, ""), "tunnel 0");
}

TEST(RuleSet, AFileIsReadAndItsErrorsSayWhere) {
  const std::string file = ::testing::TempDir() + "rules_test." + std::to_string(::getpid());
  std::ofstream(file) << "deny a\ndefault direct\n";
  auto parsed = parse_rules_file(file);
  ASSERT_TRUE(parsed) << parsed.error().message;
  const RuleSet set(std::move(*parsed));
  EXPECT_EQ(set.otherwise(), Action::direct);
  EXPECT_EQ(set.name_of(0), "line 1");
  EXPECT_EQ(set.name_of(Verdict::kDefault), "default");
  std::ofstream(file) << "deny a\ndeny b c\n";
  EXPECT_EQ(parse_rules_file(file).error().message.find(file + ", line 2: 'c'"), 0U);
  std::ofstream(file) << "";
  EXPECT_TRUE(parse_rules_file(file));
  std::remove(file.c_str());
  EXPECT_NE(parse_rules_file(file).error().message.find("No such file"), std::string::npos);
  EXPECT_FALSE(parse_rules_file(::testing::TempDir()));
}

}  // namespace
}  // namespace tunproxy::rules
