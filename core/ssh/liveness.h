// Liveness: whether the server at the other end of a session still answers.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>

#include "core/base/error.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/ssh/session.h"

namespace tunproxy::ssh {

///   alive ──a probe is unanswered──► suspect ──for long enough──► dead
///     ▲──────────any bytes──────────────┘
///
/// Probes are sent only after `keepalive` of silence, so a session that carries something costs
/// nothing. From the last byte to death it takes three times `keepalive`. Wake-ups are few where
/// nobody would notice: a session without flows is asked twelve times as rarely, and at once when
/// it is used again. With a `keepalive` of 0 only check() and used() ask, and none is ever dead.
class Liveness {
 public:
  enum class State : uint8_t { alive, suspect, dead };
  using Clock = std::function<Duration()>;

  struct Options {
    Duration keepalive;
    Clock asleep;               ///< io::time_asleep(), or what stands for it
    bool bears_others = false;  ///< its flows are sessions that are asked themselves: they are none
  };

  /// `changed` is called from the loop, and may destroy neither this nor the session (see
  /// Loop::retire()).
  Liveness(io::Loop& loop, Session& session, Options options, std::function<void(State)> changed);
  Liveness(const Liveness&) = delete;
  Liveness& operator=(const Liveness&) = delete;
  ~Liveness() { session_.on_stir(nullptr); }

  /// The network may have changed, or the machine slept: a probe at once. The session is suspect if
  /// there is no answer within a fraction of a second, or a few round trips.
  void check();
  /// A flow is about to use it: check(), if nothing was heard for `keepalive`.
  void used();
  /// Until resume() nothing is asked, and no silence counts.
  void pause();
  /// Goes on with a check().
  void resume();

  State state() const { return state_; }
  /// Of the last probe, or the shortest that was seen; 0: none yet.
  Duration round_trip() const { return std::max(round_trip_, session_.round_trip()); }

 private:
  static constexpr int kProbes = 3;

  void set_state(State next);
  void on_timer();
  void ask();
  void hurry();
  void answered(Instant asked);
  void settle();
  void arm();
  bool slept();
  bool heard() const { return session_.last_heard() > asked_at_; }
  Duration silence() const;
  Duration interval() const;
  Duration usual() const;
  Duration step() const { return usual() * 2 / kProbes; }

  io::Loop& loop_;
  Session& session_;
  const Options options_;
  const std::function<void(State)> changed_;
  State state_ = State::alive;
  Duration slept_;
  bool paused_ = false;
  std::optional<Instant> doubted_;  // since when a probe waits for its answer
  Instant suspect_at_{};            // if it still waits then
  Instant asked_at_{};              // the last time
  int asked_ = 0;                   // probes that were not answered
  bool hurried_ = false;            // there is less time to answer
  bool again_ = false;              // and what was heard did not count once
  bool looked_ = false;             // at what may have come, since the timer was started
  Duration round_trip_{};
  std::unique_ptr<net::Attempt> probe_;
  io::Timer timer_;
  io::Task stirred_;
};

}  // namespace tunproxy::ssh
