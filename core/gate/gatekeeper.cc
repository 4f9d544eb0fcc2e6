#include "core/gate/gatekeeper.h"

#include <utility>

#include "core/base/log.h"

namespace tunproxy::gate {
namespace {

constexpr Duration kBetweenNotices = 60s;

}  // namespace

void Gatekeeper::set_rules(std::shared_ptr<const rules::RuleSet> rules) {
  rules_ = std::move(rules);
  ++generation_;
  account_.forget_rules();
}

Result<void> Gatekeeper::admit() const {
  if (loop_.memory().admits()) return {};
  return Error{ErrorCode::limit, "the memory that buffers may take (--memory) is in use"};
}

Result<void> Gatekeeper::check_name(const Target& target) {
  if (!target.is_name() || Target::plain_name(target.name())) return {};
  return Error{ErrorCode::address_not_supported,
               "a host name has letters, digits, '-', '_' and '.' only; other letters are written "
               "in their ASCII form (xn--…)"};
}

void Gatekeeper::tell_limit(const Error& error) {
  ++untold_;
  if (told_limit_ != Instant{} && loop_.now() - told_limit_ < kBetweenNotices) return;
  told_limit_ = loop_.now();
  log::warn("a limit is met, new flows are refused: {} ({} since the last notice)", error.message,
            std::exchange(untold_, 0));
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
