// SilenceWatch: notices that a far end to which things are said has fallen silent.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/io/timer.h"

namespace tunproxy::udp {

/// Costs nothing while nothing is said. Whoever owns it asks for an answer when it is told to.
///
///   quiet ──spoke()──► waiting ──ask──► asked ──silent──► silent ──give_up──► (its owner ends)
///     ▲                   │               │                 │
///     └──────heard()──────┴───────────────┴─────────────────┘
class SilenceWatch {
 public:
  struct Times {
    Duration ask = 2s;       ///< of silence, though something was said
    Duration silent = 2s;    ///< from then on, in which it asks a few times
    Duration give_up = 20s;  ///< from then on
  };
  enum class Event : uint8_t { ask, silent, give_up };

  /// `tell` is called from the loop.
  SilenceWatch(io::Loop& loop, const Times& times, std::function<void(Event)> tell)
      : loop_(loop), times_(times), tell_(std::move(tell)), timer_(loop, [this] { on_timer(); }) {}

  void spoke();
  void heard();
  void stop();

  /// It was asked and has not answered yet.
  bool doubted() const { return state_ >= State::asked; }
  bool silent() const { return state_ == State::silent; }

 private:
  enum class State : uint8_t { quiet, waiting, asked, silent };
  static constexpr unsigned kAsks = 3;  ///< one may get lost

  void on_timer();
  void ask();

  io::Loop& loop_;
  const Times times_;
  std::function<void(Event)> tell_;
  State state_ = State::quiet;
  Instant unanswered_since_{};
  unsigned asks_ = 0;
  io::Timer timer_;
};

}  // namespace tunproxy::udp
