#include "platform/linux/suspend_monitor.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <limits>
#include <utility>

#include "core/base/log.h"
#include "core/io/asleep.h"

namespace tunproxy::linux_host {

Result<std::unique_ptr<SuspendMonitor>> SuspendMonitor::open(io::Loop& loop,
                                                             std::function<void()> woke) {
  constexpr const char* kDoing = "cannot notice that the machine wakes up";
  UniqueFd timer(::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!timer) return error_from_errno(errno, kDoing);
  itimerspec never{};
  constexpr auto kLatest = int64_t{1} << 33;  // in some centuries
  never.it_value.tv_sec =
      static_cast<time_t>(std::min<int64_t>(kLatest, std::numeric_limits<time_t>::max()));
  if (::timerfd_settime(timer.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never,
                        nullptr) != 0) {
    return error_from_errno(errno, kDoing);
  }
  return std::make_unique<SuspendMonitor>(loop, std::move(timer), io::time_asleep, std::move(woke));
}

SuspendMonitor::SuspendMonitor(io::Loop& loop, UniqueFd jumps, std::function<Duration()> asleep,
                               std::function<void()> woke)
    : jumps_(std::move(jumps)),
      asleep_(std::move(asleep)),
      woke_(std::move(woke)),
      slept_(asleep_()),
      watcher_(loop, jumps_.get(), [this](auto) { on_jump(); }) {
  watcher_.want(true, false);
}

void SuspendMonitor::on_jump() {
  uint64_t ignored = 0;
  (void)!::read(jumps_.get(), &ignored, sizeof ignored);  // ECANCELED is what it tells
  const Duration now = asleep_();
  const Duration slept = now - std::exchange(slept_, now);
  if (slept < kShortest) return;  // somebody set the clock
  log::debug("the machine slept for {} ms", slept.count());
  woke_();
}

}  // namespace tunproxy::linux_host
