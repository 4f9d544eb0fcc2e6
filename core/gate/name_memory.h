// NameMemory: which name an address was last the answer for, so that rules about names hold for
// flows of the TUN, which know addresses alone.
#pragma once

#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "core/base/address.h"

namespace tunproxy::gate {

/// An address that several names share is the name's that was asked for last. The addresses that
/// were remembered and looked up least recently go when there are too many.
class NameMemory {
 public:
  static constexpr size_t kMax = 16384;  ///< addresses

  NameMemory() = default;
  NameMemory(const NameMemory&) = delete;
  NameMemory& operator=(const NameMemory&) = delete;

  void remember(const IpAddress& address, std::string_view name);
  /// Empty: none. Valid until the next remember().
  std::string_view name_of(const IpAddress& address);
  size_t size() const { return entries_.size(); }

 private:
  using Entries = std::list<std::pair<IpAddress, std::string>>;

  Entries entries_;  // the most recently used first
  std::unordered_map<IpAddress, Entries::iterator> by_address_;
};

}  // namespace tunproxy::gate
