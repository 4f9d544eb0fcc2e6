// Time as protocol classes see it: they take `now` from the loop and own no clock.
#pragma once

#include <chrono>

namespace tunproxy {

using Duration = std::chrono::milliseconds;
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

using namespace std::chrono_literals;

}  // namespace tunproxy
