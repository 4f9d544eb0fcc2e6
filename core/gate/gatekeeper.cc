#include "core/gate/gatekeeper.h"

#include <utility>

namespace tunproxy::gate {

void Gatekeeper::set_rules(std::shared_ptr<const rules::RuleSet> rules) {
  rules_ = std::move(rules);
  ++generation_;
  account_.forget_rules();
}

rules::Verdict Gatekeeper::judge(rules::Protocol protocol, const Target& target,
                                 const IpAddress* address, const Who& who) {
  rules::Flow flow{protocol, {}, address, target.port(), who.user};
  if (target.is_name()) {
    flow.name = target.name();
  } else {
    flow.address = &target.address();
    if (memory_.size() != 0) flow.name = memory_.name_of(target.address());
  }
  return rules_->judge(flow);
}

Error denied() {
  return {ErrorCode::not_allowed, "denied by the rules"};
}

Error no_direct_way() {
  return {ErrorCode::not_allowed, "the rules say direct, and nothing goes outside the tunnel here"};
}

}  // namespace tunproxy::gate
