#include "core/ssh/liveness.h"

#include <algorithm>
#include <utility>

#include "core/base/log.h"

namespace tunproxy::ssh {
namespace {

constexpr Duration kSlept = 2s;        // clocks that differ by more were apart in a suspend
constexpr Duration kShortest = 300ms;  // bounds of what a hurried probe may take
constexpr Duration kLongest = 2s;
constexpr int kRoundTrips = 4;
constexpr Duration kLook = 1ms;  // a turn of the loop; zero would be none
constexpr Duration kUsual = 5s;  // for a check without a keepalive
constexpr int kRarerWithoutFlows = 12;

}  // namespace

Liveness::Liveness(io::Loop& loop, Session& session, Options options,
                   std::function<void(State)> changed)
    : loop_(loop),
      session_(session),
      options_(std::move(options)),
      changed_(std::move(changed)),
      slept_(options_.asleep()),
      timer_(loop, [this] { on_timer(); }),
      stirred_(loop, [this] { used(); }) {
  session_.on_stir([this] { stirred_.schedule(); });
  arm();
}

void Liveness::check() {
  if (state_ == State::dead || paused_) return;
  if (doubted_ && heard()) settle();
  if (doubted_ && hurried_ && loop_.now() - asked_at_ < kShortest) return;
  again_ = false;
  hurry();
}

void Liveness::used() {
  if (paused_) return;
  if (slept() || (!doubted_ && silence() >= usual())) return check();
  // The timer may stand at the long pause of a session without flows.
  if (!doubted_ && options_.keepalive > 0ms) timer_.start(options_.keepalive - silence());
}

void Liveness::pause() {
  paused_ = true;
  timer_.stop();
}

void Liveness::resume() {
  paused_ = false;
  slept();
  doubted_.reset();
  asked_ = 0;
  check();
}

void Liveness::on_timer() {
  if (slept()) return check();
  // Where this process stood still, what came meanwhile is read before anybody is judged.
  if (doubted_ && !std::exchange(looked_, true)) return timer_.start(kLook);
  looked_ = false;
  if (!doubted_) return silence() >= interval() ? ask() : arm();
  if (heard()) {
    // What came may have been on its way when the network changed.
    if (!hurried_ || std::exchange(again_, true)) return settle();
    doubted_.reset();
    return hurry();
  }
  const Instant now = loop_.now();
  if (options_.keepalive > 0ms && now - *doubted_ >= 2 * options_.keepalive) {
    return set_state(State::dead);
  }
  if (now - asked_at_ >= step()) {
    ask();
  } else {
    arm();
  }
  if (now >= suspect_at_) set_state(State::suspect);
}

void Liveness::ask() {
  const Instant now = loop_.now();
  if (!doubted_) {
    doubted_ = now;
    suspect_at_ = now + step();
    asked_ = 0;
  }
  ++asked_;
  asked_at_ = now;
  probe_ = session_.probe([this, now](Result<void> outcome) {
    if (outcome) answered(now);  // else the session tells that it is lost
  });
  arm();
}

void Liveness::hurry() {
  const Duration bound = std::clamp(round_trip() * kRoundTrips, kShortest, kLongest);
  hurried_ = true;
  ask();
  suspect_at_ = std::min(suspect_at_, loop_.now() + bound);
  arm();
}

void Liveness::answered(Instant asked) {
  round_trip_ = loop_.now() - asked;
  settle();
}

void Liveness::settle() {
  doubted_.reset();
  hurried_ = false;
  again_ = false;
  arm();
  set_state(State::alive);
}

// In doubt: to the next of: suspect, dead, another probe. A connection that is never given up is
// not asked for ever: the answer to the last probe will tell.
void Liveness::arm() {
  looked_ = false;
  if (state_ == State::dead || paused_) return timer_.stop();
  const Instant now = loop_.now();
  const bool gives_up = options_.keepalive > 0ms;
  if (!doubted_) return gives_up ? timer_.start(interval() - silence()) : timer_.stop();
  if (!gives_up && asked_ >= kProbes && state_ == State::suspect) return timer_.stop();
  Instant next = asked_at_ + step();
  if (state_ == State::alive) next = std::min(next, suspect_at_);
  if (gives_up) next = std::min(next, *doubted_ + 2 * options_.keepalive);
  timer_.start(next - now);
}

bool Liveness::slept() {
  const Duration before = std::exchange(slept_, options_.asleep());
  return slept_ - before > kSlept;
}

Duration Liveness::silence() const {
  return std::max(0ms, loop_.now() - session_.last_heard());
}

Duration Liveness::usual() const {
  return options_.keepalive > 0ms ? options_.keepalive : kUsual;
}

Duration Liveness::interval() const {
  const SessionLoad load = session_.load();
  const bool flows = !options_.bears_others && load.bulk + load.listening > 0;
  const bool carried = !options_.bears_others && loop_.now() - session_.last_carried() < kQuiet;
  return flows || carried ? options_.keepalive : options_.keepalive * kRarerWithoutFlows;
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
