// RetryPause: how long to leave alone what has just failed. Pure.
#pragma once

#include <algorithm>

#include "core/base/time.h"

namespace tunproxy::tun2socks {

/// Grows while failures follow each other, from kShortest to kLongest; starts anew after kCalm
/// without one. Failures during a pause, of things that began before it, do not lengthen it.
class RetryPause {
 public:
  static constexpr Duration kShortest = 250ms;
  static constexpr Duration kLongest = 4s;
  static constexpr Duration kCalm = 10s;

  bool holds(Instant now) const { return now < until_; }
  void fail(Instant now) {
    if (holds(now)) return;
    const bool calm = pause_ == Duration{} || now - until_ >= kCalm;
    pause_ = calm ? kShortest : std::min(2 * pause_, kLongest);
    until_ = now + pause_;
  }

 private:
  Duration pause_{};
  Instant until_{};
};

}  // namespace tunproxy::tun2socks
