// Fuzzes the parser of the rules: whatever a file says, it is refused with its line, or understood;
// and what was understood is shown as text that is understood the same way, and judges.
#include <cstdint>
#include <cstdlib>

#include "core/rules/far_rule.h"

namespace tunproxy::rules {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_again(const Rule& rule) {
  const auto again = parse_rules(rule.to_string());
  require(again && again->rules.size() == 1);
  require(again->rules[0].host == rule.host && again->rules[0].action == rule.action);
  require(again->rules[0].criteria == rule.criteria);
}

void check(std::string_view text) {
  auto parsed = parse_rules(text);
  if (!parsed) return require(!parsed.error().message.empty());
  for (const Rule& rule : parsed->rules) check_again(rule);
  const RuleSet set(std::move(*parsed));
  const IpAddress address = *IpAddress::parse("10.1.2.3");
  for (const IpAddress* known : {static_cast<const IpAddress*>(nullptr), &address}) {
    const Verdict verdict = set.judge({Protocol::udp, text.substr(0, 300), known, 53, "alice"});
    require(verdict.rule == Verdict::kDefault || verdict.rule < set.rules().size());
    require(!verdict.needs_address || known == nullptr);
  }
  const RuleSet far = rule_set(far_rules(set));
  const Flow flow{Protocol::udp, "", &address, 53, ""};
  require(far.judge(flow).action != Action::deny || set.judge(flow).action != Action::tunnel);
}

}  // namespace
}  // namespace tunproxy::rules

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  tunproxy::rules::check(text);
  const size_t half = size / 2;
  (void)tunproxy::rules::parse_lists(text.substr(0, half), text.substr(half));
  return 0;
}
