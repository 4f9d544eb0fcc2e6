#include "core/rules/far_rule.h"

#include <gtest/gtest.h>

#include <string>

namespace tunproxy::rules {
namespace {

using List = std::vector<std::string>;

List told(const std::string& text) {
  auto parsed = parse_rules(text);
  EXPECT_TRUE(parsed) << parsed.error().message;
  List list;
  for (const FarRule& rule : far_rules(RuleSet(std::move(*parsed)))) {
    std::string line = (rule.deny ? "deny " : "allow ") + rule.block.to_string();
    if (rule.ports != PortRange{}) {
      line += " " + std::to_string(rule.ports.first) + "-" + std::to_string(rule.ports.last);
    }
    list.push_back(line);
  }
  return list;
}

TEST(FarRules, AreThoseAboutDatagramsAndAddresses) {
  EXPECT_EQ(told("deny 10.0.0.0/8\ndeny udp ::1\ndeny tcp 9.0.0.0/8"),
            (List{"deny 10.0.0.0/8", "deny ::1/128"}));
  EXPECT_EQ(told("deny 10.0.0.0/8:53,1000-2000"),
            (List{"deny 10.0.0.0/8 53-53", "deny 10.0.0.0/8 1000-2000"}));
  EXPECT_EQ(told("deny udp *:25"), (List{"deny 0.0.0.0/0 25-25", "deny ::/0 25-25"}));
  EXPECT_EQ(told("allow 10.0.0.0/8\ndefault deny"),
            (List{"allow 10.0.0.0/8", "deny 0.0.0.0/0", "deny ::/0"}));
}

TEST(FarRules, KeepTheirOrder) {
  EXPECT_EQ(told("allow 10.1.0.0/16\ndeny 10.0.0.0/8\nallow *\ndeny 11.0.0.0/8"),
            (List{"allow 10.1.0.0/16", "deny 10.0.0.0/8", "allow 0.0.0.0/0", "allow ::/0",
                  "deny 11.0.0.0/8"}));
}

TEST(FarRules, LetGoWhatDependsOnNamesAndUsers) {
  EXPECT_EQ(told("deny 9.0.0.0/8 user a\ndeny a.example\ndeny *.b.example"), List{});
  EXPECT_EQ(
      told("allow a.example:53\nallow 10.0.0.0/8 user a\ndeny 10.0.0.0/7"),
      (List{"allow 0.0.0.0/0 53-53", "allow ::/0 53-53", "allow 10.0.0.0/8", "deny 10.0.0.0/7"}));
}

TEST(FarRules, AreNoneWhereNothingIsDenied) {
  EXPECT_EQ(told(""), List{});
  EXPECT_EQ(told("allow 10.0.0.0/8\ndirect *:5\ndefault direct"), List{});
  EXPECT_EQ(told("direct *:5\ndeny 10.0.0.0/8\nallow 11.0.0.0/8"), List{"deny 10.0.0.0/8"});
}

TEST(FarRules, JudgeAsTheyAreWritten) {
  const RuleSet rules = rule_set({{false, *Cidr::parse("10.1.0.0/16"), {53, 53}},
                                  {true, *Cidr::parse("10.0.0.0/8"), {}},
                                  {true, *Cidr::parse("127.0.0.0/8"), {}},
                                  {true, *Cidr::parse("::/0"), {1, 1000}}});
  const auto denies = [&rules](const char* address, uint16_t port) {
    const IpAddress parsed = *IpAddress::parse(address);
    return rules.judge({Protocol::udp, "", &parsed, port, ""}).action == Action::deny;
  };
  EXPECT_FALSE(denies("10.1.2.3", 53));
  EXPECT_TRUE(denies("10.1.2.3", 54) && denies("::ffff:10.1.2.3", 54));
  EXPECT_TRUE(denies("0.0.0.0", 9));
  EXPECT_FALSE(denies("11.0.0.1", 53));
  EXPECT_TRUE(denies("2001:db8::1", 1000));
  EXPECT_FALSE(denies("2001:db8::1", 1001));
}

}  // namespace
}  // namespace tunproxy::rules
