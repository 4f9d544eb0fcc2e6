#include "core/ssh/channel_window.h"

#include <algorithm>

namespace tunproxy::ssh {
namespace {

constexpr size_t kGrowAfter = 32 * 1024;  // bytes that make a channel more than a small exchange
constexpr size_t kSteps = 16;             // a grant is worth a message at 1/16 of the window

}  // namespace

bool WindowPolicy::on_received(ReceiveWindow& window, size_t n, Instant now) {
  if (n > window.open) return false;
  advance(now);
  window.open -= n;
  window.received += n;
  if (window.epoch != epoch_) {
    window.epoch = epoch_;
    ++active_now_;
  }
  return true;
}

void WindowPolicy::advance(Instant now) {
  const auto epoch = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count() + 1);
  if (epoch == epoch_) return;
  active_before_ = epoch == epoch_ + 1 ? active_now_ : 0;
  active_now_ = 0;
  epoch_ = epoch;
}

size_t WindowPolicy::target() const {
  const size_t active = std::max({active_now_, active_before_, size_t{1}});
  return std::clamp(kBudget / active, kInitial, kLargest);
}

size_t WindowPolicy::due(const ReceiveWindow& window, size_t queued) const {
  const size_t target_size = window.received < kGrowAfter ? kInitial : target();
  const size_t held = window.open + queued;
  if (held >= target_size || target_size - held < target_size / kSteps) return 0;
  return target_size - held;
}

}  // namespace tunproxy::ssh
