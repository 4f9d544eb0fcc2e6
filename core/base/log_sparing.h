// Sparing: for lines of the log that others can cause at will.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "core/base/time.h"

namespace tunproxy::log {

/// A few lines a minute; of the others, how many there were.
class Sparing {
 public:
  static constexpr uint64_t kLines = 5;
  static constexpr Duration kPeriod = std::chrono::minutes(1);

  /// True: say it, and kept_back() behind it.
  bool may_say(Instant now) {
    if (!begun_ || now - *begun_ >= kPeriod) {
      begun_ = now;
      said_ = 0;
    }
    const bool room = said_ < kLines;
    ++(room ? said_ : kept_back_);
    return room;
  }
  /// " (3 more were not logged)", for those since the last line; empty: none.
  std::string kept_back() {
    const uint64_t count = std::exchange(kept_back_, 0);
    return count > 0 ? " (" + std::to_string(count) + " more were not logged)" : std::string();
  }

 private:
  std::optional<Instant> begun_;
  uint64_t said_ = 0;
  uint64_t kept_back_ = 0;
};

}  // namespace tunproxy::log
