// How much a server may send on a channel before we consumed it (RFC 4254 §5.2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/base/time.h"
#include "core/ssh/window_share.h"

namespace tunproxy::ssh {

/// One channel's receive window.
struct ReceiveWindow {
  size_t open = 0;      ///< what the server may still send
  size_t received = 0;  ///< in the channel's life
  uint64_t epoch = 0;   ///< WindowShare's
  size_t wanted = 0;    ///< its size, if the budget allows; 0: not yet known
  uint64_t round = 0;   ///< of the measurement in which `got` came
  size_t got = 0;
};

/// Tunes the windows of a session to bandwidth × delay, within what its WindowShare grants. Idle
/// ones keep what they opened with.
///
/// Measured in rounds: its owner asks the server for an answer, which comes behind all data that is
/// under way. When that takes hardly longer than it ever did, a channel that received a full window
/// meanwhile waits for its window: it is doubled. When it takes much longer, windows stand in
/// queues before the bottleneck, where they delay everything else: they are cut to what the
/// bottleneck passes within the undisturbed time. If that costs throughput and the queue stays, it
/// is not ours, and is ignored for a while.
class WindowPolicy {
 public:
  static constexpr size_t kInitial = WindowShare::kInitial;  ///< until more than a little came
  static constexpr size_t kFirst = 2 * 1024 * 1024;          ///< of a transfer; OpenSSH's

  /// REQUIRES: `share` outlives it.
  explicit WindowPolicy(WindowShare& share) : share_(share) {}

  /// Notes that `n` bytes came. False: more than the window allowed.
  bool on_received(ReceiveWindow& window, size_t n, Instant now);
  /// How much to add to the window when `queued` bytes are not consumed yet; 0 while it is not
  /// worth a message.
  size_t due(const ReceiveWindow& window, size_t queued) const;

  /// Enough came since the last round for another.
  bool wants_round(Instant now) const;
  void begin_round(Instant now);
  /// The answer came.
  void end_round(Instant now);
  /// The shortest round; 0: there was none yet.
  Duration shortest_round() const { return undisturbed_.value_or(Duration::zero()); }

 private:
  enum class Verdict : uint8_t { keep, grow, shrink };

  void join_round(ReceiveWindow& window) const;
  Verdict judge(Duration took);

  WindowShare& share_;
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
