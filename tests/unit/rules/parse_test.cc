#include "core/rules/parse.h"

#include <gtest/gtest.h>

#include <string>

#include "core/rules/rule_set.h"

namespace tunproxy::rules {
namespace {

struct LineCase {
  const char* line;
  const char* shown;  // the rule as it is shown
};

class Lines : public ::testing::TestWithParam<LineCase> {};

TEST_P(Lines, AreUnderstood) {
  const auto parsed = parse_rules(GetParam().line);
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->rules.size(), 1U);
  EXPECT_EQ(parsed->rules[0].to_string(), GetParam().shown);
}

INSTANTIATE_TEST_SUITE_P(
    Rules, Lines,
    ::testing::Values(
        LineCase{"allow *", "tunnel *"}, LineCase{"tunnel *:80", "tunnel *:80"},
        LineCase{"block udp *:443", "deny udp *:443"},
        LineCase{"  deny\ttcp  *.Corp.Internal:25,1000-2000   user alice  # why",
                 "deny tcp *.corp.internal:25,1000-2000 user alice"},
        LineCase{"direct printer.", "direct printer"},
        LineCase{"deny 10.0.0.0/8", "deny 10.0.0.0/8"},
        LineCase{"deny 192.0.2.1", "deny 192.0.2.1/32"},
        LineCase{"deny 192.0.2.1:53", "deny 192.0.2.1/32:53"},
        LineCase{"deny 2001:db8::/32", "deny 2001:db8::/32"}, LineCase{"deny ::1", "deny ::1/128"},
        LineCase{"deny [::1]", "deny ::1/128"},
        LineCase{"deny [2001:db8::/32]:80,443\r", "deny [2001:db8::/32]:80,443"},
        LineCase{"deny ::ffff:10.0.0.0/104", "deny 10.0.0.0/8"},
        LineCase{"deny ::ffff:0:0/96", "deny 0.0.0.0/0"}, LineCase{"deny ::/0", "deny ::/0"},
        LineCase{"deny 0.0.0.0/0", "deny 0.0.0.0/0"}, LineCase{"deny 0.0.0.0", "deny 127.0.0.1/32"},
        LineCase{"deny ::ffff:0.0.0.0", "deny 127.0.0.1/32"}, LineCase{"deny ::", "deny ::1/128"},
        LineCase{"deny *:5,3,1-4,9", "deny *:1-5,9"},
        LineCase{"deny * user bob,alice,bob", "deny * user alice,bob"},
        LineCase{"deny tcp udp.", "deny tcp udp."}, LineCase{"deny tcp.", "deny tcp."},
        LineCase{"deny xn--bcher-kva.example", "deny xn--bcher-kva.example"},
        LineCase{"deny _sip._tcp.example", "deny _sip._tcp.example"}));

struct BadCase {
  const char* text;
  const char* said;
};

class BadText : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadText, IsToldWithItsLine) {
  const auto parsed = parse_rules(GetParam().text);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, ErrorCode::usage);
  EXPECT_NE(parsed.error().message.find(GetParam().said), std::string::npos)
      << parsed.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Rules, BadText,
    ::testing::Values(
        BadCase{"allow *\n\n# x\nforbid *", "line 4: 'forbid'"}, BadCase{"deny", "line 1: no host"},
        BadCase{"deny tcp", "no host"}, BadCase{"deny sctp *", "'*' is not expected"},
        BadCase{"deny 10.0.0.1/8", "'10.0.0.1/8'"}, BadCase{"deny 10.0.0.0/33", "0 to 32"},
        BadCase{"deny 10.0.0", "'10.0.0'"}, BadCase{"deny 300.1.1.1", "'300.1.1.1'"},
        BadCase{"deny a*b.example", "'a*b.example' is not a host"},
        BadCase{"deny *.*.example", "is not a host"}, BadCase{"deny *.", "is not a host"},
        BadCase{"deny .example", "is not a host"}, BadCase{"deny b\u00fccher.example", "xn--"},
        BadCase{"deny a\\.b", "is not a host"}, BadCase{"deny a..b", "is not a host"},
        BadCase{"deny *:", "is not a port"}, BadCase{"deny *:0", "is not a port"},
        BadCase{"deny *:65536", "is not a port"}, BadCase{"deny *:9-3", "is not a port"},
        BadCase{"deny *:1,,2", "is not a port"}, BadCase{"deny *:1-", "is not a port"},
        BadCase{"deny [::1:80", "'[::1:80'"}, BadCase{"deny [::1]80", "'[::1]80'"},
        BadCase{"deny [example]x", "'[example]x'"}, BadCase{"deny :80", "''"},
        BadCase{"deny * user", "list of users"}, BadCase{"deny * user a,,b", "list of users"},
        BadCase{"deny * users a", "'users'"}, BadCase{"deny * user a b", "'b' is not expected"},
        BadCase{"default", "'' is not an action"}, BadCase{"default maybe", "'maybe'"},
        BadCase{"default deny\ndefault deny", "line 2: there is a default"},
        BadCase{"allowed_hosts\nexample.org\n:80", "line 3"},
        BadCase{"allowed_ports\n80\nhttp", "line 3: 'http'"},
        BadCase{"allowed_hosts:\n# none\nallowed_ports:\n80", "names no host"}));

TEST(Parse, TheDefaultIsTheTunnelUnlessItIsSaid) {
  EXPECT_FALSE(parse_rules("")->otherwise);
  EXPECT_EQ(RuleSet(*parse_rules("deny *")).otherwise(), Action::tunnel);
  EXPECT_EQ(parse_rules("default block\nallow a")->otherwise, Action::deny);
  EXPECT_EQ(parse_rules("default direct")->otherwise, Action::direct);
}

TEST(Parse, RulesKnowTheirLines) {
  const auto parsed = parse_rules("# first\n\nallow a\n  # more\ndeny b");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->rules[0].line, 3U);
  EXPECT_EQ(parsed->rules[1].line, 5U);
}

std::string shown(const Parsed& parsed) {
  std::string text;
  for (const Rule& rule : parsed.rules) text += rule.to_string() + "\n";
  return text + "default " + std::string(to_string(*parsed.otherwise));
}

TEST(Parse, TheSimpleFormIsRulesThatDenyTheRest) {
  const auto file = parse_rules(
      "allowed_hosts\nexample.org\n*.example.org\n10.0.0.0/8\n\nallowed_ports:\n443\n80\n");
  ASSERT_TRUE(file);
  EXPECT_EQ(shown(*file),
            "tunnel example.org:80,443\ntunnel *.example.org:80,443\ntunnel 10.0.0.0/8:80,443\n"
            "default deny");
  EXPECT_EQ(file->rules[1].line, 3U);
  EXPECT_EQ(shown(*parse_lists("example.org\n", "")), "tunnel example.org\ndefault deny");
  EXPECT_EQ(shown(*parse_lists("", "22\n")), "tunnel *:22\ndefault deny");
}

TEST(Parse, TheUnspecifiedAddressesStandForAll) {
  EXPECT_EQ(shown(*parse_lists("0.0.0.0", "")), "tunnel 0.0.0.0/0\ndefault deny");
  EXPECT_EQ(shown(*parse_lists("::", "")), "tunnel ::/0\ndefault deny");
  EXPECT_EQ(shown(*parse_lists("a.example\n0.0.0.0\n::", "443")), "tunnel *:443\ndefault deny");
}

TEST(Parse, AListTellsItsLine) {
  EXPECT_NE(parse_lists("a\nb c", "").error().message.find("allowed_hosts, line 2"),
            std::string::npos);
  EXPECT_NE(parse_lists("a", "\n0").error().message.find("allowed_ports, line 2"),
            std::string::npos);
}

TEST(Parse, TooManyRulesAreAnError) {
  std::string text;
  for (size_t i = 0; i <= kMaxRules; ++i) text += "deny a\n";
  const auto parsed = parse_rules(text);
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.error().message.find("line 100001"), std::string::npos);
}

}  // namespace
}  // namespace tunproxy::rules
