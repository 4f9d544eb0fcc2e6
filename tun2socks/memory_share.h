// MemoryShare: what the flows of an engine may hold of the loop's memory budget.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/base/memory_budget.h"

namespace tunproxy::tun2socks {

/// A cap of its own within the budget, with the same thresholds: so a few flows get much, many get
/// little each, the cap is never met, and flows that stall cannot starve one that does not.
class MemoryShare {
 public:
  /// REQUIRES: `whole` outlives it.
  MemoryShare(MemoryBudget& whole, size_t cap) : whole_(whole), cap_(cap) {}
  MemoryShare(const MemoryShare&) = delete;
  MemoryShare& operator=(const MemoryShare&) = delete;

  void charge(size_t bytes) {
    used_ += bytes;
    whole_.charge(bytes);
  }
  void release(size_t bytes) {
    used_ -= bytes;
    whole_.release(bytes);
  }
  size_t used() const { return used_; }
  /// What one flow may hold now, in bytes.
  size_t allowance() const {
    const size_t own = used_ < cap_ ? (cap_ - used_) / MemoryBudget::kShare : 0;
    return std::min(own, whole_.allowance());
  }

 private:
  MemoryBudget& whole_;
  size_t cap_;
  size_t used_ = 0;
};

}  // namespace tunproxy::tun2socks
