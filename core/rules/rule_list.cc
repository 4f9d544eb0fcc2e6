#include "core/rules/rule_list.h"

#include <algorithm>

namespace tunproxy::rules {

void RuleList::Ports::add(const std::vector<PortRange>& ranges, uint32_t index) {
  if (ranges.empty()) return add(PortRange{}, index);
  for (const PortRange& range : ranges) add(range, index);
}

void RuleList::Ports::add(const PortRange& range, uint32_t index) {
  auto at = left_.upper_bound(range.last);
  while (at != left_.begin()) {
    const auto [first, last] = *std::prev(at);
    if (last < range.first) return;
    left_.erase(std::prev(at));
    const uint32_t begin = std::max<uint32_t>(first, range.first);
    const uint32_t end = std::min<uint32_t>(last, range.last);
    taken_.push_back({{static_cast<uint16_t>(begin), static_cast<uint16_t>(end)}, index});
    if (end < last) at = left_.emplace(end + 1, last).first;
    if (first < begin) {
      left_.emplace(first, begin - 1);
      return;
    }
  }
}

void RuleList::Ports::finish() {
  left_.clear();
  std::sort(taken_.begin(), taken_.end(),
            [](const Taken& a, const Taken& b) { return a.ports.first < b.ports.first; });
}

uint32_t RuleList::Ports::first(uint16_t port) const {
  const auto behind =
      std::upper_bound(taken_.begin(), taken_.end(), port,
                       [](uint16_t at, const Taken& taken) { return at < taken.ports.first; });
  if (behind == taken_.begin() || !std::prev(behind)->ports.contains(port)) return UINT32_MAX;
  return std::prev(behind)->index;
}

void RuleList::finish(const std::vector<Rule>& rules) {
  if (indices_.size() <= kFew) return;
  index_ = std::make_unique<Index>();
  for (const uint32_t index : indices_) {
    const Criteria& criteria = rules[index].criteria;
    for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
      if (criteria.protocol && *criteria.protocol != protocol) continue;
      const auto which = static_cast<size_t>(protocol);
      if (criteria.users.empty()) index_->everyone[which].add(criteria.ports, index);
      for (const std::string& user : criteria.users) {
        index_->users[user][which].add(criteria.ports, index);
      }
    }
  }
  for (Ports& ports : index_->everyone) ports.finish();
  for (auto& [user, own] : index_->users) {
    for (Ports& ports : own) ports.finish();
  }
}

uint32_t RuleList::first(const std::vector<Rule>& rules, Protocol protocol, uint16_t port,
                         std::string_view user, uint32_t best) const {
  if (index_ == nullptr) {
    for (const uint32_t index : indices_) {
      if (index >= best) return best;
      if (rules[index].criteria.allow(protocol, port, user)) return index;
    }
    return best;
  }
  const auto which = static_cast<size_t>(protocol);
  best = std::min(best, index_->everyone[which].first(port));
  const auto own = index_->users.find(user);
  return own == index_->users.end() ? best : std::min(best, own->second[which].first(port));
}

}  // namespace tunproxy::rules
