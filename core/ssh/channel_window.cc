#include "core/ssh/channel_window.h"

#include <algorithm>

namespace tunproxy::ssh {
namespace {

constexpr size_t kGrowAfter = 32 * 1024;  // bytes that make a channel more than a small exchange
constexpr size_t kSteps = 16;             // a grant is worth a message at 1/16 of the window
constexpr size_t kRoundAfter = 256 * 1024;
constexpr Duration kRoundPause = 50ms;
constexpr Duration kNoQueue = 10ms;  // what a busy machine may take
constexpr Duration kFull = 20ms;     // of queue keep the bottleneck busy
constexpr Duration kTooMuch = 45ms;  // beyond what a lost packet costs, more than a round
constexpr int kOldQueue = 3;         // rounds in which it goes
constexpr int kPatience = 64;

// What the bottleneck passed in the time that a round would take with a short queue.
size_t fitting(size_t got, Duration undisturbed, Duration took) {
  const Duration queue = std::max(kFull, undisturbed / 2);
  const auto share = static_cast<uint64_t>((undisturbed + queue).count());
  return static_cast<size_t>(got * share / static_cast<uint64_t>(took.count()));
}

}  // namespace

bool WindowPolicy::on_received(ReceiveWindow& window, size_t n, Instant now) {
  if (n > window.open) return false;
  share_.on_data(window.epoch, now);
  window.open -= n;
  window.received += n;
  if (window.round != round_) join_round(window);
  since_round_ += n;
  if (measuring_) {
    got_ += n;
    window.got += n;
  }
  return true;
}

// Draws the conclusions from the round before, if the channel took part in it.
void WindowPolicy::join_round(ReceiveWindow& window) const {
  const bool took_part = window.round + 1 == round_;
  if (window.wanted == 0 && window.received >= kGrowAfter) {
    window.wanted = first_;
  } else if (took_part && verdict_ == Verdict::grow && window.got >= window.wanted / 4 * 3) {
    window.wanted = std::min(window.wanted * 2, WindowShare::kLargest);
  } else if (took_part && verdict_ == Verdict::shrink) {
    window.wanted = std::clamp(fitting(window.got, *undisturbed_, took_), kInitial,
                               std::max(window.wanted, kInitial));
  }
  window.round = round_;
  window.got = 0;
}

bool WindowPolicy::wants_round(Instant now) const {
  return !measuring_ && since_round_ >= kRoundAfter && now - round_began_ >= kRoundPause;
}

void WindowPolicy::begin_round(Instant now) {
  ++round_;
  round_began_ = now;
  measuring_ = true;
  got_ = 0;
}

void WindowPolicy::end_round(Instant now) {
  measuring_ = false;
  since_round_ = 0;
  took_ = now - round_began_;
  undisturbed_ = std::min(undisturbed_.value_or(took_), took_);
  verdict_ = judge(took_);
  if (verdict_ == Verdict::shrink) {
    first_ = std::clamp(fitting(got_, *undisturbed_, took_), kInitial, first_);
  } else if (verdict_ == Verdict::grow && got_ >= first_ / 4 * 3) {
    first_ = std::min(first_ * 2, kFirst);
  }
}

WindowPolicy::Verdict WindowPolicy::judge(Duration took) {
  if (patience_ > 0 && --patience_ > 0) return Verdict::grow;
  if (took <= *undisturbed_ * 5 / 2 + kTooMuch) {
    shrinking_ = 0;
    return took <= *undisturbed_ + std::max(kNoQueue, *undisturbed_ / 4) ? Verdict::grow
                                                                         : Verdict::keep;
  }
  const uint64_t rate = got_ / static_cast<uint64_t>(took.count());
  if (shrinking_++ == 0) rate_before_ = rate;
  if (shrinking_ <= kOldQueue || rate * 3 >= rate_before_ * 2) return Verdict::shrink;
  shrinking_ = 0;
  patience_ = kPatience;
  return Verdict::grow;
}

size_t WindowPolicy::due(const ReceiveWindow& window, size_t queued) const {
  const size_t wanted = window.received < kGrowAfter ? kInitial
                        : window.wanted == 0         ? first_
                                                     : window.wanted;
  const size_t size = std::min(wanted, share_.most());
  const size_t held = window.open + queued;
  if (held >= size || size - held < size / kSteps) return 0;
  return size - held;
}

}  // namespace tunproxy::ssh
