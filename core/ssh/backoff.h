// Backoff: how long to wait before the next try to reach a server. Owns no clock.
#pragma once

#include <cstdint>
#include <random>

#include "core/base/error.h"
#include "core/base/time.h"

namespace tunproxy::ssh {

/// Pauses double from `first` to half a second, or to a whole one if the server was reached. After
/// a minute they grow with the time for which it has been away, an eighth of that, up to `longest`:
/// a server that returns is found soon, and one that stays away costs little. A server that turns
/// clients away is left alone for longer. Each pause is shortened by chance, up to a half, so that
/// clients which lost the same server do not come back in step.
class Backoff {
 public:
  Backoff(Duration first, Duration longest) : first_(first), longest_(longest) {}

  /// The pause after a failure for this reason; `reached`: the server was, and the login failed.
  Duration next(const Error& error, Instant now, bool reached);
  /// Nothing failed yet, or since it began anew.
  bool fresh() const { return failures_ == 0; }
  /// The longest that a pause may be now, for a server that is not reached.
  Duration longest_pause(Instant now) const;
  /// Begins anew, as the network changed. Returns how far apart two tries must be nevertheless:
  /// more where the server itself said that it wants no connections, and then the pauses go on
  /// growing if it says so again.
  Duration reset();
  /// The server took a connection: it turns nobody away any more.
  void let_in();
  /// All is well again.
  void forget();

 private:
  Duration jittered(Duration pause);

  const Duration first_;
  const Duration longest_;
  Instant since_{};  // of the first failure
  uint32_t failures_ = 0;
  uint32_t refusals_ = 0;  // how often in a row we were turned away
  Duration apart_{};       // since the server said so; else 0
  std::mt19937 random_{std::random_device{}()};
};

}  // namespace tunproxy::ssh
