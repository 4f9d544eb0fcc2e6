// How much a server may send on a channel before we consumed it (RFC 4254 §5.2).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/time.h"

namespace tunproxy::ssh {

/// One channel's receive window.
struct ReceiveWindow {
  size_t open = 0;      ///< what the server may still send
  size_t received = 0;  ///< in the channel's life
  uint64_t epoch = 0;   ///< when the last bytes came
};

/// Shares a budget of memory among the channels on which data flows: few of them get large windows
/// (bandwidth × delay), many get small ones, idle ones keep what they opened with.
class WindowPolicy {
 public:
  static constexpr size_t kInitial = 64 * 1024;
  static constexpr size_t kBudget = 32 * 1024 * 1024;
  static constexpr size_t kLargest = 4 * 1024 * 1024;

  /// Notes that `n` bytes came. False: more than the window allowed.
  bool on_received(ReceiveWindow& window, size_t n, Instant now);
  /// How much to add to the window when `queued` bytes are not consumed yet; 0 while it is not
  /// worth a message.
  size_t due(const ReceiveWindow& window, size_t queued) const;

 private:
  size_t target() const;
  void advance(Instant now);

  uint64_t epoch_ = 1;        // seconds
  size_t active_now_ = 0;     // channels with data in this epoch
  size_t active_before_ = 0;  // in the one before
};

}  // namespace tunproxy::ssh
