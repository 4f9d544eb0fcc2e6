// What a decision of the rules costs: names, wildcards, IPv4 and IPv6 among many rules, whose hosts
// differ, or whose ports do.
//
//   rules_bench [RULES [ROUNDS]]          (default: 10000 50)
#include <fmt/core.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "core/rules/rule_set.h"

namespace tunproxy::rules {
namespace {

constexpr unsigned kFlows = 1 << 14;

struct Sample {
  std::string name;
  IpAddress address;
};

class Bench {
 public:
  Bench(unsigned count, unsigned rounds) : count_(count), rounds_(rounds) {}

  std::string name() { return fmt::format("host{}.zone{}.example", random(count_), random(100)); }
  IpAddress address(bool v6) {
    uint8_t bytes[16];
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random(256));
    if (v6) bytes[0] = 0x20;
    return v6 ? IpAddress::v6(bytes) : IpAddress::v4(bytes);
  }
  std::string block(bool v6) {
    const unsigned bits = v6 ? 128 : 32;
    const unsigned prefix = bits / 4 + random(bits - bits / 4 + 1);
    const IpAddress whole = address(v6);
    uint8_t bytes[16] = {};
    for (unsigned bit = 0; bit < prefix; ++bit) {
      bytes[bit / 8] =
          static_cast<uint8_t>(bytes[bit / 8] | (whole.bytes()[bit / 8] & (0x80 >> bit % 8)));
    }
    return fmt::format("{}/{}", (v6 ? IpAddress::v6(bytes) : IpAddress::v4(bytes)).to_string(),
                       prefix);
  }

  // A third of the rules each: names (some of them wildcards), IPv4, IPv6; half with ports.
  RuleSet make() {
    std::string text;
    for (unsigned i = 0; i < count_; ++i) {
      std::string host = block(i % 3 == 1);
      if (i % 3 == 2) host = i % 30 == 2 ? "*." + name() : name();
      const bool ports = i % 2 == 0;
      if (ports && i % 3 == 1) host = "[" + host + "]";
      text += fmt::format("{} {}{}\n", i % 5 == 0 ? "allow" : "deny", host, ports ? ":80,443" : "");
    }
    return parse(text);
  }

  // Each has ports of its own, of any kind of host: an index by hosts alone would read all of them.
  RuleSet make_ports() {
    std::string text;
    for (unsigned i = 0; i < count_; ++i) {
      constexpr const char* kHosts[] = {"10.0.0.0/8", "[2001:db8::/32]", "*", "*.zone1.example"};
      text += fmt::format("deny {} {}:{}-{}{}\n", i % 2 == 0 ? "tcp" : "udp", kHosts[i % 4],
                          1 + i * 4 % 60000, 1 + i * 4 % 60000 + i % 3,
                          i % 5 == 0 ? " user alice" : "");
    }
    return parse(text);
  }

  template <typename MakeFlow>
  void measure(const char* what, const RuleSet& set, bool v6, MakeFlow make_flow) {
    std::vector<Sample> samples;
    for (unsigned i = 0; i < kFlows; ++i) samples.push_back({name(), address(v6)});
    size_t denied = 0;
    const auto begin = std::chrono::steady_clock::now();
    for (unsigned round = 0; round < rounds_; ++round) {
      for (const Sample& sample : samples) {
        denied += set.judge(make_flow(sample)).action == Action::deny ? 1 : 0;
      }
    }
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    fmt::print("{:28} {:6.0f} ns a flow ({:.1f} % denied)\n", what,
               took.count() / (kFlows * rounds_),
               100.0 * static_cast<double>(denied) / (kFlows * rounds_));
  }

 private:
  static RuleSet parse(const std::string& text) {
    auto parsed = parse_rules(text);
    if (!parsed) {
      fmt::print(stderr, "rules_bench: {}\n", parsed.error().message);
      std::exit(1);
    }
    return RuleSet(std::move(*parsed));
  }
  unsigned random(unsigned below) { return static_cast<unsigned>(engine_() % below); }

  const unsigned count_;
  const unsigned rounds_;
  std::mt19937 engine_{1};
};

}  // namespace
}  // namespace tunproxy::rules

int main(int argc, char** argv) {
  using namespace tunproxy;
  using namespace tunproxy::rules;
  const int count = argc > 1 ? std::atoi(argv[1]) : 10000;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 50;
  if (count <= 0 || rounds <= 0) return 2;
  Bench bench(static_cast<unsigned>(count), static_cast<unsigned>(rounds));
  const auto flow = [](std::string_view name, const IpAddress* address) {
    return Flow{Protocol::tcp, name, address, 443, {}};
  };
  for (const bool ports : {false, true}) {
    const RuleSet set = ports ? bench.make_ports() : bench.make();
    fmt::print("{} rules that differ in their {}\n", set.rules().size(), ports ? "ports" : "hosts");
    bench.measure("name", set, false, [&](const Sample& s) { return flow(s.name, nullptr); });
    bench.measure("IPv4 address", set, false,
                  [&](const Sample& s) { return flow({}, &s.address); });
    bench.measure("IPv6 address", set, true, [&](const Sample& s) { return flow({}, &s.address); });
    bench.measure("name and IPv4 address", set, false,
                  [&](const Sample& s) { return flow(s.name, &s.address); });
    bench.measure("name and IPv6 address", set, true,
                  [&](const Sample& s) { return flow(s.name, &s.address); });
  }
  return 0;
}
