// MemoryBudget: one cap on what all flows hold, and what each may hold of it.
#pragma once

#include <cstddef>

namespace tunproxy::tun2socks {

/// Dynamic thresholds: a flow may hold a fixed share of what is still free. So a few flows get
/// much, many get little each, the cap is never met, and flows that stall cannot starve one that
/// does not.
class MemoryBudget {
 public:
  explicit MemoryBudget(size_t cap) : cap_(cap) {}

  void charge(size_t bytes) { used_ += bytes; }
  void release(size_t bytes) { used_ -= bytes < used_ ? bytes : used_; }
  size_t used() const { return used_; }
  /// What one flow may hold now, in bytes.
  size_t allowance() const { return used_ < cap_ ? (cap_ - used_) / kShare : 0; }

 private:
  static constexpr size_t kShare = 16;

  size_t cap_;
  size_t used_ = 0;
};

}  // namespace tunproxy::tun2socks
