// RuleSet's index against the rules read one by one, on random rules and flows that are made to
// collide.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <utility>

#include "core/rules/far_rule.h"
#include "tests/unit/rules/naive.h"

namespace tunproxy::rules {
namespace {

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}

  unsigned below(unsigned n) { return static_cast<unsigned>(engine_() % n); }
  bool chance(unsigned percent) { return below(100) < percent; }

  // Few different bits, so that blocks contain each other and flows hit them.
  IpAddress address() {
    uint8_t bytes[16] = {};
    for (uint8_t& byte : bytes) {
      constexpr uint8_t kFew[] = {0, 0, 0, 1, 0x80, 0xff};
      byte = kFew[below(6)];
    }
    if (chance(45)) return IpAddress::v4(bytes);
    if (chance(20)) return in_clothes(bytes);
    return IpAddress::v6(bytes);
  }
  // IPv4-mapped, nearly that, or unspecified.
  IpAddress in_clothes(const uint8_t* some) {
    uint8_t bytes[16] = {0, 0, 0,    0,    0,       0,       0,       0,
                         0, 0, 0xff, 0xff, some[0], some[1], some[2], some[3]};
    if (chance(15)) bytes[below(12)] ^= 0x80;
    if (chance(20)) std::fill_n(bytes + 12, 4, uint8_t{0});
    if (chance(10)) std::fill_n(bytes, 16, uint8_t{0});
    return IpAddress::v6(bytes);
  }
  Cidr block() {
    const IpAddress whole = address();
    const auto prefix = static_cast<uint8_t>(below(whole.is_v4() ? 33 : 129));
    uint8_t bytes[16] = {};
    for (unsigned bit = 0; bit < prefix; ++bit) {
      bytes[bit / 8] =
          static_cast<uint8_t>(bytes[bit / 8] | (whole.bytes()[bit / 8] & (0x80 >> bit % 8)));
    }
    return {whole.is_v4() ? IpAddress::v4(bytes) : IpAddress::v6(bytes), prefix};
  }
  std::string name() {
    std::string text;
    for (unsigned labels = 1 + below(4); labels > 0; --labels) {
      text += std::string(text.empty() ? "" : ".") + "abc"[below(3)];
    }
    return text;
  }
  // At both ends of the range and in the middle.
  uint16_t port() {
    constexpr uint16_t kFrom[] = {1, 1, 1000, 65526};
    return static_cast<uint16_t>(kFrom[below(4)] + below(10));
  }
  std::vector<PortRange> ports() {
    std::vector<PortRange> ranges;
    for (unsigned n = 1 + below(3); n > 0; --n) {
      const uint16_t a = port();
      const uint16_t b = chance(50) ? a : port();
      ranges.push_back({std::min(a, b), std::max(a, b)});
    }
    return merged(std::move(ranges));  // as the parser leaves them
  }
  std::string user() { return std::string(1, "wxyz"[below(4)]); }
  std::vector<std::string> users() {
    std::set<std::string> some;
    for (unsigned n = 1 + below(3); n > 0; --n) some.insert(user());
    return {some.begin(), some.end()};
  }

  Rule rule() {
    Rule rule;
    rule.action = static_cast<Action>(below(3));
    rule.host.kind = static_cast<HostPattern::Kind>(below(chance(90) ? 3 : 4));
    if (chance(60)) rule.host.kind = HostPattern::Kind::block;
    if (rule.host.kind == HostPattern::Kind::any && chance(80)) {
      rule.host.kind = HostPattern::Kind::name;
    }
    if (rule.host.kind == HostPattern::Kind::block) {
      rule.host.block = block();
    } else if (rule.host.kind != HostPattern::Kind::any) {
      rule.host.name = name();
    }
    if (chance(40)) rule.criteria.protocol = chance(50) ? Protocol::tcp : Protocol::udp;
    if (chance(60)) rule.criteria.ports = ports();
    if (chance(30)) rule.criteria.users = users();
    return rule;
  }

 private:
  std::mt19937 engine_;
};

// `hosts`: so many different ones; few of them have many rules each.
void compare(unsigned seed, unsigned rules, unsigned hosts) {
  Random random(seed);
  std::vector<HostPattern> patterns;
  while (patterns.size() < hosts) patterns.push_back(random.rule().host);
  Parsed parsed;
  parsed.otherwise = static_cast<Action>(random.below(3));
  while (parsed.rules.size() < rules) {
    Rule& rule = parsed.rules.emplace_back(random.rule());
    rule.host = patterns[random.below(hosts)];
  }
  const RuleSet set(std::move(parsed));
  for (unsigned n = 0; n < 300; ++n) {
    const IpAddress address = random.address();
    std::string name = random.chance(60) ? random.name() : "";
    if (random.chance(10)) name += ".";
    if (random.chance(10) && !name.empty()) name[0] = static_cast<char>(name[0] - 'a' + 'A');
    const std::string user = random.chance(50) ? random.user() : "";
    const uint16_t port = random.chance(5) ? uint16_t{0} : random.port();
    const Flow flow{random.chance(50) ? Protocol::tcp : Protocol::udp, name,
                    random.chance(70) ? &address : nullptr, port, user};
    ASSERT_EQ(set.judge(flow), testing::naive_judge(set, flow))
        << "seed " << seed << ", flow " << n << ": " << name << " " << address.to_string() << " "
        << port;
  }
}

TEST(Differential, TheIndexAnswersAsReadingOneByOne) {
  for (unsigned seed = 0; seed < 200; ++seed) compare(seed, 1 + seed % 60, 60);
}

TEST(Differential, ManyRulesAboutTheSameHostsDoSoToo) {
  for (unsigned seed = 0; seed < 100; ++seed) compare(1000 + seed, 10 + 4 * seed, 1 + seed % 12);
}

// What would go through the tunnel is never denied at its far end, whatever its name or user.
TEST(Differential, TheFarEndDeniesOnlyWhatIsDeniedHere) {
  unsigned denied = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    Random random(seed);
    Parsed parsed;
    parsed.otherwise = static_cast<Action>(random.below(3));
    for (unsigned n = random.below(10); n > 0; --n) parsed.rules.push_back(random.rule());
    const RuleSet set(std::move(parsed));
    const RuleSet far = rule_set(far_rules(set));
    for (unsigned n = 0; n < 100; ++n) {
      const IpAddress address = random.address();
      const std::string name = random.chance(60) ? random.name() : "";
      const std::string user = random.chance(50) ? random.user() : "";
      const Flow flow{Protocol::udp, name, &address, random.port(), user};
      if (far.judge({Protocol::udp, "", &address, flow.port, ""}).action != Action::deny) continue;
      ++denied;
      ASSERT_NE(set.judge(flow).action, Action::tunnel)
          << "seed " << seed << ", flow " << n << ": " << name << " " << address.to_string();
    }
  }
  EXPECT_GT(denied, 1000U);
}

TEST(Differential, WhatIsWrittenParsesToTheSameRule) {
  Random random(1);
  for (unsigned n = 0; n < 3000; ++n) {
    Rule rule = random.rule();
    rule.host.block = judged_block(rule.host.block);
    rule.line = 1;
    const auto parsed = parse_rules(rule.to_string());
    ASSERT_TRUE(parsed) << rule.to_string() << ": " << parsed.error().message;
    ASSERT_EQ(parsed->rules.size(), 1U);
    EXPECT_EQ(parsed->rules[0].to_string(), rule.to_string());
    EXPECT_EQ(parsed->rules[0].host, rule.host) << rule.to_string();
    EXPECT_EQ(parsed->rules[0].criteria, rule.criteria) << rule.to_string();
    EXPECT_EQ(parsed->rules[0].action, rule.action);
  }
}

}  // namespace
}  // namespace tunproxy::rules
