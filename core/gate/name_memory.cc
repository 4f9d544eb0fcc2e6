#include "core/gate/name_memory.h"

namespace tunproxy::gate {

void NameMemory::remember(const IpAddress& address, std::string_view name) {
  if (const auto found = by_address_.find(address); found != by_address_.end()) {
    found->second->second = name;
    entries_.splice(entries_.begin(), entries_, found->second);
    return;
  }
  if (entries_.size() >= kMax) {
    by_address_.erase(entries_.back().first);
    entries_.pop_back();
  }
  entries_.emplace_front(address, name);
  by_address_.emplace(address, entries_.begin());
}

std::string_view NameMemory::name_of(const IpAddress& address) {
  const auto found = by_address_.find(address);
  if (found == by_address_.end()) return {};
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->second;
}

}  // namespace tunproxy::gate
