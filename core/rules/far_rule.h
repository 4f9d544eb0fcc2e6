// FarRule: what who carries datagrams at the far end can judge by itself: addresses and ports.
// Pure.
#pragma once

#include <vector>

#include "core/base/address.h"
#include "core/rules/rule_set.h"

namespace tunproxy::rules {

/// The first that is about a datagram decides; what none is about may go.
struct FarRule {
  bool deny = true;
  Cidr block;
  PortRange ports;

  bool operator==(const FarRule&) const = default;
};

/// They deny only what `rules` deny whoever sends it, and whatever name was asked for: where that
/// matters, they let it go, as who stands in front of the tunnel has judged it already. Empty if
/// they would deny nothing.
std::vector<FarRule> far_rules(const RuleSet& rules);
/// The same rules, to judge by.
RuleSet rule_set(const std::vector<FarRule>& rules);

}  // namespace tunproxy::rules
