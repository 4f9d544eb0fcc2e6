// WindowShare: what servers may send ahead on all channels of several sessions, divided among them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/memory_budget.h"
#include "core/base/time.h"

namespace tunproxy::ssh {

/// The channels on which data flows divide kBudget bytes, or half of what the memory budget has
/// left, if that is less; what stalls is charged to that budget and so no longer to be divided. A
/// channel that is idle keeps the window that it has. Lives in one loop thread.
class WindowShare {
 public:
  static constexpr size_t kBudget = 32 * 1024 * 1024;
  static constexpr size_t kLargest = 16 * 1024 * 1024;
  static constexpr size_t kInitial = 64 * 1024;

  /// REQUIRES: `memory` outlives it.
  explicit WindowShare(const MemoryBudget& memory) : memory_(memory) {}
  WindowShare(const WindowShare&) = delete;
  WindowShare& operator=(const WindowShare&) = delete;

  void opened() { ++channels_; }
  void closed(size_t channels) { channels_ -= channels; }
  /// Data came on a channel. `epoch` is where this keeps when it last did.
  void on_data(uint64_t& epoch, Instant now) {
    advance(now);
    if (epoch == epoch_) return;
    epoch = epoch_;
    ++active_now_;
  }

  /// The window that a new channel opens with: the more channels there are, any of which may fill
  /// its own, the smaller.
  size_t initial() const;
  /// What the window of one on which data flows may be at most.
  size_t most() const;

 private:
  void advance(Instant now);

  const MemoryBudget& memory_;
  size_t channels_ = 0;
  uint64_t epoch_ = 1;        // seconds
  size_t active_now_ = 0;     // channels with data in this epoch
  size_t active_before_ = 0;  // in the one before
};

}  // namespace tunproxy::ssh
