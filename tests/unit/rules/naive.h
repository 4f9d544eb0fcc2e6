// The rules as docs/rules.md says them, one by one and without an index: what RuleSet has to agree
// with.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/rules/rule_set.h"

namespace tunproxy::testing {

inline bool naive_host(const rules::HostPattern& host, const rules::Flow& flow) {
  const std::string name = rules::normal_name(flow.name);
  switch (host.kind) {
    case rules::HostPattern::Kind::any:
      return true;
    case rules::HostPattern::Kind::name:
      return !name.empty() && name == host.name;
    case rules::HostPattern::Kind::wildcard:
      return name.ends_with("." + host.name);
    case rules::HostPattern::Kind::block:
      return flow.address != nullptr && host.block.contains(rules::judged_address(*flow.address));
  }
  return false;
}

inline bool naive_criteria(const rules::Criteria& criteria, const rules::Flow& flow) {
  if (criteria.protocol && *criteria.protocol != flow.protocol) return false;
  bool port = criteria.ports.empty();
  for (const auto& range : criteria.ports) {
    port = port || (range.first <= flow.port && flow.port <= range.last);
  }
  const auto& users = criteria.users;
  return port && (users.empty() || std::count(users.begin(), users.end(), flow.user) != 0);
}

inline rules::Verdict naive_judge(const rules::RuleSet& set, const rules::Flow& flow) {
  bool needs_address = false;
  for (uint32_t i = 0; i < set.rules().size(); ++i) {
    const rules::Rule& rule = set.rules()[i];
    if (!naive_criteria(rule.criteria, flow)) continue;
    const bool about_address = rule.host.kind == rules::HostPattern::Kind::block;
    needs_address = needs_address || (about_address && flow.address == nullptr);
    if (naive_host(rule.host, flow)) return {rule.action, i, needs_address};
  }
  return {set.otherwise(), rules::Verdict::kDefault, needs_address};
}

}  // namespace tunproxy::testing
