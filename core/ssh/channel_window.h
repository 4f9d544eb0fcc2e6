// How much a server may send on a channel before we consumed it (RFC 4254 §5.2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/base/time.h"

namespace tunproxy::ssh {

/// One channel's receive window.
struct ReceiveWindow {
  size_t open = 0;      ///< what the server may still send
  size_t received = 0;  ///< in the channel's life
  uint64_t epoch = 0;   ///< when the last bytes came
  size_t wanted = 0;    ///< its size, if the budget allows; 0: not yet known
  uint64_t round = 0;   ///< of the measurement in which `got` came
  size_t got = 0;
};

/// Tunes windows to bandwidth × delay, within a budget of memory that the channels on which data
/// flows share. Idle ones keep what they opened with.
///
/// Measured in rounds: its owner asks the server for an answer, which comes behind all data that is
/// under way. When that takes hardly longer than it ever did, a channel that received a full window
/// meanwhile waits for its window: it is doubled. When it takes much longer, windows stand in
/// queues before the bottleneck, where they delay everything else: they are cut to what the
/// bottleneck passes within the undisturbed time. If that costs throughput and the queue stays, it
/// is not ours, and is ignored for a while.
class WindowPolicy {
 public:
  static constexpr size_t kSmallest = 16 * 1024;  ///< with a small budget
  static constexpr size_t kInitial = 64 * 1024;
  static constexpr size_t kFirst = 2 * 1024 * 1024;  ///< of a transfer; OpenSSH's
  static constexpr size_t kLargest = 16 * 1024 * 1024;
  static constexpr size_t kBudget = 32 * 1024 * 1024;

  /// Notes that `n` bytes came. False: more than the window allowed.
  bool on_received(ReceiveWindow& window, size_t n, Instant now);
  /// How much to add to the window when `queued` bytes are not consumed yet; 0 while it is not
  /// worth a message.
  size_t due(const ReceiveWindow& window, size_t queued) const;
  /// For all channels together; what is granted stays so.
  void set_budget(size_t bytes) { budget_ = bytes; }

  /// Enough came since the last round for another.
  bool wants_round(Instant now) const;
  void begin_round(Instant now);
  /// The answer came.
  void end_round(Instant now);

 private:
  enum class Verdict : uint8_t { keep, grow, shrink };

  size_t share() const;
  void advance(Instant now);
  void join_round(ReceiveWindow& window) const;
  Verdict judge(Duration took);

  size_t budget_ = kBudget;
  uint64_t epoch_ = 1;        // seconds
  size_t active_now_ = 0;     // channels with data in this epoch
  size_t active_before_ = 0;  // in the one before

  uint64_t round_ = 1;
  Instant round_began_{};
  bool measuring_ = false;
  size_t since_round_ = 0;  // bytes, of all channels
  size_t got_ = 0;          // in this round, or the last
  Duration took_{};         // by the last
  Verdict verdict_ = Verdict::keep;
  std::optional<Duration> undisturbed_;  // the shortest round
  size_t first_ = kFirst;
  int shrinking_ = 0;         // rounds without a break
  uint64_t rate_before_ = 0;  // bytes a millisecond, in the first of them
  int patience_ = 0;          // rounds for which queues are ignored
};

}  // namespace tunproxy::ssh
