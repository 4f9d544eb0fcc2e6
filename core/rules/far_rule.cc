#include "core/rules/far_rule.h"

#include <algorithm>
#include <utility>

namespace tunproxy::rules {
namespace {

constexpr uint8_t kNoBytes[16] = {};

std::vector<Cidr> blocks_of(const HostPattern& host) {
  if (host.kind == HostPattern::Kind::block) return {host.block};
  return {{IpAddress(), 0}, {IpAddress::v6(kNoBytes), 0}};
}

void append(std::vector<FarRule>& to, bool deny, const HostPattern& host,
            const std::vector<PortRange>& ports) {
  for (const Cidr& block : blocks_of(host)) {
    if (ports.empty()) to.push_back({deny, block, {}});
    for (const PortRange& range : ports) to.push_back({deny, block, range});
  }
}

// A name may stand for any address, and a user is not known there.
bool is_told(const Rule& rule) {
  if (rule.criteria.protocol == Protocol::tcp || rule.action == Action::direct) return false;
  if (rule.action == Action::tunnel) return true;
  const bool any_name =
      rule.host.kind == HostPattern::Kind::any || rule.host.kind == HostPattern::Kind::block;
  return any_name && rule.criteria.users.empty();
}

}  // namespace

std::vector<FarRule> far_rules(const RuleSet& rules) {
  std::vector<FarRule> told;
  for (const Rule& rule : rules.rules()) {
    if (is_told(rule)) append(told, rule.action == Action::deny, rule.host, rule.criteria.ports);
  }
  if (rules.otherwise() == Action::deny) append(told, true, {}, {});
  while (!told.empty() && !told.back().deny) told.pop_back();
  return told;
}

RuleSet rule_set(const std::vector<FarRule>& rules) {
  Parsed parsed;
  for (const FarRule& rule : rules) {
    Rule whole;
    whole.action = rule.deny ? Action::deny : Action::tunnel;
    whole.host = {HostPattern::Kind::block, "", rule.block};
    whole.criteria.ports = {rule.ports};
    parsed.rules.push_back(std::move(whole));
  }
  return RuleSet(std::move(parsed));
}

}  // namespace tunproxy::rules
