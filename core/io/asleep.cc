#include "core/io/asleep.h"

#include <ctime>

namespace tunproxy::io {

Duration time_asleep() {
#ifdef CLOCK_BOOTTIME
  const auto read = [](clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  };
  const auto awake = read(CLOCK_MONOTONIC);
  return std::chrono::duration_cast<Duration>(read(CLOCK_BOOTTIME) - awake);
#else
  return 0ms;
#endif
}

}  // namespace tunproxy::io
