#include "core/ssh/window_share.h"

#include <algorithm>

namespace tunproxy::ssh {
namespace {

constexpr size_t kAtOnce = 4;   // channels that a large share leaves room for
constexpr size_t kFewest = 16;  // of those that open with a small part of what is free
constexpr size_t kOfBudget = 256;

}  // namespace

void WindowShare::advance(Instant now) {
  const auto epoch = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count() + 1);
  if (epoch == epoch_) return;
  active_before_ = epoch == epoch_ + 1 ? active_now_ : 0;
  active_now_ = 0;
  epoch_ = epoch;
}

size_t WindowShare::initial() const {
  const size_t part = memory_.free() / kAtOnce / std::max(channels_, kFewest);
  return std::clamp(part, MemoryBudget::kSmallestLeast, kInitial);
}

size_t WindowShare::most() const {
  const size_t active = std::max({active_now_, active_before_, size_t{1}});
  const size_t half = memory_.free() / 2;
  const size_t share = std::min(kBudget / active, half / std::max(active, kAtOnce));
  const size_t least = std::clamp(std::min(kBudget, half) / kOfBudget, memory_.least(), kInitial);
  return std::clamp(share, least, kLargest);
}

}  // namespace tunproxy::ssh
