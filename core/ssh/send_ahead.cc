#include "core/ssh/send_ahead.h"

#include <algorithm>
#include <bit>

namespace tunproxy::ssh {
namespace {

constexpr Duration kMeasure = 20ms;
constexpr Duration kAhead = 8ms;

}  // namespace

// After a silence the first bytes say nothing about the connection: they begin a new measurement.
bool SendAhead::on_sent(size_t bytes, Instant now) {
  const Duration elapsed = now - since_;
  counted_ += bytes;
  if (elapsed < kMeasure) return false;
  const auto rate = counted_ / static_cast<uint64_t>(elapsed.count());  // bytes a millisecond
  counted_ = 0;
  since_ = now;
  const uint64_t wanted = std::bit_floor(rate * static_cast<uint64_t>(kAhead.count()));
  const auto limit = static_cast<size_t>(std::clamp<uint64_t>(wanted, kLeast, kMost));
  // It falls step by step: one slow moment is none of the connection's.
  const size_t next = std::max(limit, std::max(limit_ / 2, kLeast));
  const bool changed = next != limit_;
  limit_ = next;
  return changed;
}

}  // namespace tunproxy::ssh
