#include "core/ssh/liveness.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "core/base/log.h"

namespace tunproxy::ssh {
namespace {

constexpr Duration kSlept = 2s;        // clocks that differ by more were apart in a suspend
constexpr Duration kShortest = 300ms;  // bounds of what a hurried probe may take
constexpr Duration kLongest = 2s;
constexpr int kRoundTrips = 4;
constexpr Duration kUsual = 5s;  // for a check without a keepalive
constexpr Duration kQuiet = 1min;
constexpr int kRarerWhenQuiet = 4;
constexpr int kRarerWithoutFlows = 12;

}  // namespace

Duration time_asleep() {
#ifdef CLOCK_BOOTTIME
  const auto read = [](clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  };
  const auto awake = read(CLOCK_MONOTONIC);
  return std::chrono::duration_cast<Duration>(read(CLOCK_BOOTTIME) - awake);
#else
  return 0ms;
#endif
}

Liveness::Liveness(io::Loop& loop, Session& session, Duration keepalive, Clock asleep,
                   std::function<void(State)> changed)
    : loop_(loop),
      session_(session),
      keepalive_(keepalive),
      asleep_(std::move(asleep)),
      changed_(std::move(changed)),
      slept_(asleep_()),
      carried_at_(loop.now()),
      timer_(loop, [this] { on_timer(); }) {
  arm();
}

void Liveness::check() {
  if (state_ == State::dead) return;
  if (unanswered_ > 0 && heard()) settle();
  const bool fresh = unanswered_ > 0 && loop_.now() - asked_at_ < kShortest;
  if (fresh && hurried_) return;
  hurried_ = true;
  again_ = false;
  ask();
}

void Liveness::used() {
  if (slept() || (unanswered_ == 0 && silence() >= (keepalive_ > 0ms ? keepalive_ : kUsual)))
    return check();
  // The timer may stand at the long pause of a session without flows.
  carried_at_ = loop_.now();
  if (unanswered_ == 0 && keepalive_ > 0ms) timer_.start(keepalive_ - silence());
}

void Liveness::set_keepalive(Duration keepalive) {
  keepalive_ = keepalive;
  arm();
}

void Liveness::on_timer() {
  if (slept()) return check();
  if (unanswered_ > 0 && heard()) {
    // What came may have been on its way when the network changed.
    if (hurried_ && !std::exchange(again_, true)) return ask();
    return settle();
  }
  if (unanswered_ == 0) {
    if (silence() >= interval()) return ask();
    return arm();
  }
  if (loop_.now() - asked_at_ < step()) {  // only a hurried one is overdue
    hurried_ = false;
    arm();
    return set_state(State::suspect);
  }
  if (unanswered_ >= kProbes) return set_state(State::dead);
  ask();
  set_state(State::suspect);
}

void Liveness::ask() {
  if (unanswered_ == 0 || !hurried_) ++unanswered_;
  asked_at_ = loop_.now();
  probe_ = session_.probe([this, asked = asked_at_](Result<void> outcome) {
    if (outcome) answered(asked);  // else the session tells that it is lost
  });
  arm();
}

void Liveness::answered(Instant asked) {
  round_trip_ = loop_.now() - asked;
  settle();
}

void Liveness::settle() {
  unanswered_ = 0;
  hurried_ = false;
  again_ = false;
  arm();
  set_state(State::alive);
}

void Liveness::arm() {
  if (state_ == State::dead) return timer_.stop();
  if (unanswered_ == 0 && keepalive_ == 0ms) return timer_.stop();
  if (unanswered_ == 0) return timer_.start(interval() - silence());
  const Duration hurry = std::clamp(round_trip_ * kRoundTrips, kShortest, kLongest);
  timer_.start(asked_at_ + (hurried_ ? std::min(hurry, step()) : step()) - loop_.now());
}

bool Liveness::slept() {
  const Duration before = std::exchange(slept_, asleep_());
  return slept_ - before > kSlept;
}

Duration Liveness::silence() const {
  return std::max(0ms, loop_.now() - session_.last_heard());
}

Duration Liveness::step() const {
  return (keepalive_ > 0ms ? keepalive_ : kUsual) * 2 / kProbes;
}

Duration Liveness::interval() {
  const SessionLoad load = session_.load();
  if (std::exchange(carried_, load.received + load.sent) != load.received + load.sent) {
    carried_at_ = loop_.now();
  }
  if (load.channels == 0) return keepalive_ * kRarerWithoutFlows;
  return loop_.now() - carried_at_ > kQuiet ? keepalive_ * kRarerWhenQuiet : keepalive_;
}

void Liveness::set_state(State next) {
  if (next == state_ || state_ == State::dead) return;
  log::debug("ssh: the server {}", next == State::alive     ? "answers again"
                                   : next == State::suspect ? "does not answer"
                                                            : "is dead");
  state_ = next;
  if (next == State::dead) timer_.stop();
  changed_(next);
}

}  // namespace tunproxy::ssh
