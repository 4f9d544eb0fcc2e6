// SuspendMonitor: tells when the machine has woken up.
#pragma once

#include <functional>
#include <memory>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/base/unique_fd.h"
#include "core/io/fd_watcher.h"
#include "core/io/loop.h"

namespace tunproxy::linux_host {

/// The kernel tells at once of each jump of the wall clock (timerfd_create(2),
/// TFD_TIMER_CANCEL_ON_SET), and waking up is one; it counts if time was slept. Costs no wake-up,
/// needs no permission. Lives in the loop's thread.
class SuspendMonitor {
 public:
  static constexpr Duration kShortest = 2s;  ///< shorter naps break no connection

  /// `woke` is called from the loop.
  static Result<std::unique_ptr<SuspendMonitor>> open(io::Loop& loop, std::function<void()> woke);
  /// `jumps`: readable when the wall clock has jumped; `asleep`: as io::time_asleep().
  SuspendMonitor(io::Loop& loop, UniqueFd jumps, std::function<Duration()> asleep,
                 std::function<void()> woke);
  SuspendMonitor(const SuspendMonitor&) = delete;
  SuspendMonitor& operator=(const SuspendMonitor&) = delete;

 private:
  void on_jump();

  UniqueFd jumps_;
  const std::function<Duration()> asleep_;
  const std::function<void()> woke_;
  Duration slept_;
  io::FdWatcher watcher_;
};

}  // namespace tunproxy::linux_host
