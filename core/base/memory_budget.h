// MemoryBudget: one bound on what all buffers hold that a peer can make grow, and what each may
// hold of it.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <utility>

namespace tunproxy {

/// Dynamic thresholds: a buffer may hold a fixed share of what is still free. So a few buffers get
/// much and many get little each, and those that stall cannot starve one that does not: it may hold
/// least() whatever the others do. The last quarter is kept for that; in its second half no new
/// flow is admitted. There is one for each Loop, in whose thread it lives.
///
/// Whoever keeps bytes charges them, in chunks rather than one by one, and asks allowance() before
/// it takes more. Nothing that is held is taken away when the cap sinks.
class MemoryBudget {
 public:
  static constexpr size_t kNoCap = static_cast<size_t>(-1);
  static constexpr size_t kShare = 16;
  static constexpr size_t kSmallestLeast = size_t{4} * 1024;
  static constexpr size_t kLargestLeast = size_t{16} * 1024;

  explicit MemoryBudget(size_t cap = kNoCap) : cap_(cap) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  void set_cap(size_t bytes) { cap_ = bytes; }
  size_t cap() const { return cap_; }

  void charge(size_t bytes) { used_ += bytes; }
  void release(size_t bytes) {
    assert(bytes <= used_);
    used_ -= bytes;
  }
  size_t used() const { return used_; }

  /// What buffers that want much may share among them yet.
  size_t free() const {
    const size_t open = cap_ - cap_ / 4;
    return used_ < open ? open - used_ : 0;
  }
  /// What one buffer may hold now.
  size_t allowance() const { return std::max(free() / kShare, least()); }
  /// What it may hold in any case.
  size_t least() const { return std::clamp(cap_ / 1024, kSmallestLeast, kLargestLeast); }
  /// There is room for another flow.
  bool admits() const { return used_ <= cap_ - cap_ / 8; }

 private:
  size_t cap_;
  size_t used_ = 0;
};

/// What one owner holds; released with it.
class MemoryCharge {
 public:
  explicit MemoryCharge(MemoryBudget& budget, size_t bytes = 0) : budget_(&budget) { set(bytes); }
  MemoryCharge(MemoryCharge&& other) noexcept
      : budget_(other.budget_), bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryCharge& operator=(MemoryCharge&& other) noexcept {
    set(0);
    budget_ = other.budget_;
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }
  ~MemoryCharge() { set(0); }

  size_t bytes() const { return bytes_; }
  void set(size_t bytes) {
    if (bytes > bytes_) {
      budget_->charge(bytes - bytes_);
    } else {
      budget_->release(bytes_ - bytes);
    }
    bytes_ = bytes;
  }

 private:
  MemoryBudget* budget_;
  size_t bytes_ = 0;
};

}  // namespace tunproxy
