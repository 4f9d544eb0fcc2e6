// Liveness: whether the server at the other end of a session still answers.
#pragma once

#include <functional>
#include <memory>

#include "core/base/error.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/ssh/session.h"

namespace tunproxy::ssh {

/// The time that the machine has slept since it started: it grows when it wakes up.
Duration time_asleep();

///   alive ──a probe is unanswered──► suspect ──three are──► dead
///     ▲──────────any bytes──────────────┘
///
/// Probes are sent only after `keepalive` of silence, so a session that carries something costs
/// nothing. From silence to death it takes three times `keepalive`. Wake-ups are few where nobody
/// would notice: after a minute without a byte of any flow, probes are four times as rare, and
/// twelve times while there is no flow; used() makes up for it. With a `keepalive` of 0 only
/// check() and used() probe.
class Liveness {
 public:
  enum class State : uint8_t { alive, suspect, dead };
  using Clock = std::function<Duration()>;

  /// `changed` is called from the loop, and may destroy neither this nor the session (see
  /// Loop::retire()). `asleep` stands for time_asleep().
  Liveness(io::Loop& loop, Session& session, Duration keepalive, Clock asleep,
           std::function<void(State)> changed);
  Liveness(const Liveness&) = delete;
  Liveness& operator=(const Liveness&) = delete;

  /// The network may have changed, or the machine slept: a probe at once. The session is suspect if
  /// there is no answer within a fraction of a second, or a few round trips.
  void check();
  /// A flow is about to be opened: check(), if nothing was heard for `keepalive`.
  void used();

  void set_keepalive(Duration keepalive);
  State state() const { return state_; }
  Duration round_trip() const { return round_trip_; }  ///< of the last probe; 0: none yet

 private:
  static constexpr int kProbes = 3;

  void set_state(State next);
  void on_timer();
  void ask();
  void answered(Instant asked);
  void settle();
  void arm();
  bool slept();
  bool heard() const { return session_.last_heard() > asked_at_; }
  Duration silence() const;
  Duration interval();
  Duration step() const;

  io::Loop& loop_;
  Session& session_;
  Duration keepalive_;
  const Clock asleep_;
  const std::function<void(State)> changed_;
  State state_ = State::alive;
  Duration slept_;
  Instant carried_at_;  // when bytes of a flow were last seen to have passed
  uint64_t carried_ = 0;
  int unanswered_ = 0;
  bool hurried_ = false;  // the last probe has less time to be answered
  bool again_ = false;    // and was asked a second time
  Instant asked_at_{};
  Duration round_trip_{};
  std::unique_ptr<net::Attempt> probe_;
  io::Timer timer_;
};

}  // namespace tunproxy::ssh
