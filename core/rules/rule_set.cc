#include "core/rules/rule_set.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

namespace tunproxy::rules {
namespace {

// A name as it is compared, without an allocation. Names that are too long are left as they are:
// no rule is about them.
class NormalName {
 public:
  explicit NormalName(std::string_view name) {
    if (name.ends_with('.')) name.remove_suffix(1);
    length_ = std::min(name.size(), text_.size());
    for (size_t i = 0; i < length_; ++i) {
      const char c = name[i];
      text_[i] = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  std::string_view text() const { return {text_.data(), length_}; }

 private:
  std::array<char, Target::kMaxName> text_;
  size_t length_;
};

}  // namespace

RuleSet::RuleSet(Parsed parsed) : parsed_(std::move(parsed)) {
  for (uint32_t index = 0; index < parsed_.rules.size(); ++index) add_to_index(index);
  finish_index();
}

void RuleSet::add_to_index(uint32_t index) {
  const HostPattern& host = parsed_.rules[index].host;
  switch (host.kind) {
    case HostPattern::Kind::any:
      return any_.add(index);
    case HostPattern::Kind::name:
      return names_[host.name].add(index);
    case HostPattern::Kind::wildcard:
      return wildcards_[host.name].add(index);
    case HostPattern::Kind::block:
      about_addresses_.add(index);
      return (host.block.address.is_v4() ? blocks4_ : blocks6_).at(host.block).add(index);
  }
}

void RuleSet::finish_index() {
  const auto finish = [this](RuleList& rules) { rules.finish(parsed_.rules); };
  finish(any_);
  finish(about_addresses_);
  for (auto& [name, rules] : names_) finish(rules);
  for (auto& [name, rules] : wildcards_) finish(rules);
  blocks4_.for_all(finish);
  blocks6_.for_all(finish);
}

Verdict RuleSet::judge(const Flow& flow) const {
  uint32_t best = Verdict::kDefault;
  first_match(any_, flow, best);
  if (!flow.name.empty()) match_name(NormalName(flow.name).text(), flow, best);
  bool needs_address = false;
  if (flow.address != nullptr) {
    const IpAddress address = judged_address(*flow.address);
    (address.is_v4() ? blocks4_ : blocks6_).for_each(address, [&](const RuleList& rules) {
      first_match(rules, flow, best);
    });
  } else {
    uint32_t first = best;
    first_match(about_addresses_, flow, first);
    needs_address = first < best;
  }
  return {best == Verdict::kDefault ? otherwise() : parsed_.rules[best].action, best,
          needs_address};
}

// Lowers `best` to the first of `rules` that matches, if that comes before it.
void RuleSet::first_match(const RuleList& rules, const Flow& flow, uint32_t& best) const {
  best = rules.first(parsed_.rules, flow.protocol, flow.port, flow.user, best);
}

void RuleSet::match_name(std::string_view name, const Flow& flow, uint32_t& best) const {
  if (const auto found = names_.find(name); found != names_.end()) {
    first_match(found->second, flow, best);
  }
  if (wildcards_.empty()) return;
  for (size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1)) {
    const auto found = wildcards_.find(name.substr(dot + 1));
    if (found != wildcards_.end()) first_match(found->second, flow, best);
  }
}

bool RuleSet::mentions(Action action) const {
  return otherwise() == action ||
         std::any_of(parsed_.rules.begin(), parsed_.rules.end(),
                     [&](const Rule& rule) { return rule.action == action; });
}

std::string RuleSet::name_of(uint32_t rule) const {
  if (rule >= parsed_.rules.size()) return "default";
  return fmt::format("{} {}", parsed_.rules[rule].origin, parsed_.rules[rule].line);
}

}  // namespace tunproxy::rules
