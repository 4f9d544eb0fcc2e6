#include "core/udp/silence_watch.h"

namespace tunproxy::udp {

void SilenceWatch::spoke() {
  if (state_ != State::quiet) return;
  state_ = State::waiting;
  unanswered_since_ = loop_.now();
  if (!timer_.active()) timer_.start(times_.ask);
}

// The timer of a question goes on: often something is said again before it ends.
void SilenceWatch::heard() {
  if (doubted()) timer_.stop();
  state_ = State::quiet;
}

void SilenceWatch::stop() {
  timer_.stop();
  state_ = State::quiet;
}

void SilenceWatch::on_timer() {
  switch (state_) {
    case State::quiet:
      return;
    case State::waiting:
      if (const Duration silence = loop_.now() - unanswered_since_; silence < times_.ask) {
        return timer_.start(times_.ask - silence);
      }
      state_ = State::asked;
      asks_ = 0;
      return ask();
    case State::asked:
      if (asks_ < kAsks) return ask();
      state_ = State::silent;
      timer_.start(times_.give_up);
      return tell_(Event::silent);
    case State::silent:
      return tell_(Event::give_up);
  }
}

void SilenceWatch::ask() {
  ++asks_;
  timer_.start(times_.silent / kAsks);
  tell_(Event::ask);
}

}  // namespace tunproxy::udp
