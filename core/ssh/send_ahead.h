// How much data may stand ready to be sent, in front of something more urgent that comes later.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/time.h"

namespace tunproxy::ssh {

/// What is encrypted keeps its place. So no more is encrypted than the connection takes within a
/// few milliseconds, at the rate at which it took bytes lately; and the kernel may hold as much
/// again.
class SendAhead {
 public:
  static constexpr size_t kLeast = 16 * 1024;
  static constexpr size_t kMost = 512 * 1024;

  /// Notes that the connection took `bytes`. True: limit() has changed.
  bool on_sent(size_t bytes, Instant now);
  /// A power of two.
  size_t limit() const { return limit_; }

 private:
  size_t limit_ = kLeast;
  uint64_t counted_ = 0;  // bytes since
  Instant since_{};
};

}  // namespace tunproxy::ssh
