#include "core/ssh/backoff.h"

#include <algorithm>

#include "core/ssh/turned_away.h"

namespace tunproxy::ssh {
namespace {

constexpr Duration kEager = 500ms;
constexpr Duration kEagerFor = 1min;
constexpr Duration kEagerAtLogins = 1s;
constexpr int kShare = 8;  // of the time that it has been away since then
constexpr Duration kApart = 300ms;
constexpr uint32_t kMostDoublings = 16;

Duration doubled(Duration pause, uint32_t times) {
  return pause * (int64_t{1} << std::min(times, kMostDoublings));
}

}  // namespace

Duration Backoff::longest_pause(Instant now) const {
  const Duration away = failures_ > 0 ? now - since_ : 0ms;
  return std::min(std::max(kEager, (away - kEagerFor) / kShare), longest_);
}

Duration Backoff::next(const Error& error, Instant now, bool reached) {
  if (failures_ == 0) since_ = now;
  const Duration bound = std::max(longest_pause(now), reached ? kEagerAtLogins : 0ms);
  const Duration usual = std::min({doubled(first_, failures_), bound, longest_});
  ++failures_;
  const StayAway away = stay_away(error);
  apart_ = away.told ? away.first : 0ms;
  if (away.first == 0ms) {
    refusals_ = 0;
    return jittered(usual);
  }
  // A jittered pause may be half of it.
  return jittered(std::min(2 * doubled(away.first, refusals_++), away.longest));
}

Duration Backoff::reset() {
  failures_ = 0;
  if (apart_ == 0ms) refusals_ = 0;
  return std::max(apart_, kApart);
}

void Backoff::let_in() {
  refusals_ = 0;
  apart_ = 0ms;
}

void Backoff::forget() {
  failures_ = 0;
  let_in();
}

Duration Backoff::jittered(Duration pause) {
  const auto half = pause.count() / 2;
  return Duration(half + std::uniform_int_distribution<Duration::rep>(0, half)(random_));
}

}  // namespace tunproxy::ssh
