#include "core/ssh/supervisor.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/base/log.h"
#include "core/io/asleep.h"

namespace tunproxy::ssh {
namespace {

constexpr Duration kStable = 30s;  // a connection that lived this long resets the pauses
constexpr Duration kLeavingTick = 1s;
// While a network is away, packets vanish: another one is how its return is noticed.
constexpr Duration kRarest = 2s;
constexpr Duration kPatience = 5s;

SupervisorOptions prepared(SupervisorOptions options) {
  if (!options.asleep) options.asleep = io::time_asleep;
  return options;
}

const Error kDead{ErrorCode::timed_out, "the SSH server does not answer any more"};
const Error kStopped{ErrorCode::host_unreachable, "the tunnel was stopped"};

}  // namespace

Supervisor::Supervisor(io::Loop& loop, SupervisorOptions options)
    : loop_(loop),
      options_(prepared(std::move(options))),
      connector_(loop, options_),
      backoff_(options_.first_pause, options_.longest_pause),
      pause_(loop, [this] { connect_now(); }),
      leaving_timer_(loop, [this] { watch_leaving(); }) {}

Supervisor::~Supervisor() {
  if (line_) take_back(line_->session.get());
  fail_waiting(kStopped);
  while (!served_.empty()) served_.front()->leave();  // their session ends them
}

void Supervisor::start(net::Done<void> done) {
  assert(state_ == State::idle || state_ == State::stopped);
  started_ = std::move(done);
  set_state(State::connecting, nullptr);
  pause_.start(0ms);
}

void Supervisor::stop() {
  if (state_ == State::stopped) return;
  pause_.stop();
  leaving_timer_.stop();
  connector_.cancel();
  backoff_.forget();
  if (line_) {
    take_back(line_->session.get());
    retire(std::move(line_));
  }
  for (auto& line : leaving_) retire(std::move(line));
  leaving_.clear();
  set_state(State::stopped, nullptr);
  fail_waiting(kStopped);
  if (started_) {
    loop_.post([done = std::exchange(started_, nullptr)] {
      done(Error{ErrorCode::cancelled, "stopped"});
    });
  }
}

// -- connecting

void Supervisor::connect_now() {
  pause_.stop();
  connector_.cancel();
  reached_ = false;
  connector_.start(
      pace(),
      [this] {
        reached_ = true;
        if (state_ == State::connecting) set_state(State::authenticating, nullptr);
      },
      [this](Result<std::unique_ptr<Session>> session) {
        if (!session) return connection_failed(session.error());
        came_online(std::move(*session));
      });
}

// The first connection is somebody's who waits and can see why it takes long. What is not dialled
// from here (a proxy, a jump host) is begun anew to notice that the network is back; more and more
// slowly, as it may just be slow.
Connector::Pace Supervisor::pace() const {
  const Duration whole = options_.dial.timeout;
  const bool first = state_ == State::connecting && !options_.keep_trying;
  if (first) return {options_.way != nullptr ? 3 * whole : whole};
  if (options_.way != nullptr) return {std::min(whole, kPatience * (1 + failed_tries_ / 2))};
  const Duration pause = std::max(backoff_.longest_pause(loop_.now()) / 2, round_trip_);
  return {kPatience, std::min(pause, kRarest)};
}

void Supervisor::connection_failed(Error error) {
  ++failed_tries_;
  const bool first = state_ == State::connecting || state_ == State::authenticating;
  const bool again = !first || (options_.keep_trying && options_.reconnect);
  if (again && !permanent(error)) {
    log::info("{} failed: {}", first ? "connect" : "reconnect", error.message);
    if (first) set_state(State::reconnecting, &error);
    return connect_later(error, connector_.age());
  }
  if (state_ == State::online) {  // the session in doubt may yet answer
    return log::warn("no second connection to the SSH server: {}", error.message);
  }
  set_state(State::failed, &error);
  fail_waiting({ErrorCode::host_unreachable, "the tunnel has failed"});
  if (started_) std::exchange(started_, nullptr)(std::move(error));
}

// A try that nobody answered for long was a pause in itself.
void Supervisor::connect_later(const Error& error, Duration tried) {
  const Duration pause = backoff_.next(error, loop_.now(), reached_) - tried;
  next_try_ = loop_.now() + pause;
  if (!paused_) pause_.start(pause);
}

void Supervisor::came_online(std::unique_ptr<Session> session) {
  ++past_.logins;
  failed_tries_ = 0;
  backoff_.let_in();
  Session* const now = session.get();
  now->on_closed([this, now](const Error& error) {
    if (line_ && line_->session.get() == now) return lost(error);
    left(now);
  });
  auto before = std::exchange(line_, std::make_unique<Line>());
  line_->session = std::move(session);
  now->outlast(longest_silence());
  line_->liveness = std::make_unique<Liveness>(
      loop_, *now, Liveness::Options{options_.keepalive, options_.asleep, options_.bears_others},
      [this, now](auto state) { on_liveness(now, state); });
  if (paused_) line_->liveness->pause();
  online_since_ = loop_.now();
  if (before) {
    log::info("a second SSH connection takes over");
    take_back(before->session.get());
    leaving_.push_back(std::move(before));
    watch_leaving();
  }
  if (state_ != State::online) set_state(State::online, nullptr);
  if (started_) std::exchange(started_, nullptr)({});
  serve_waiting();
}

// -- watching

void Supervisor::on_liveness(Session* session, Liveness::State state) {
  const bool current = line_ && line_->session.get() == session;
  switch (state) {
    case Liveness::State::alive:
      return current ? stop_renewing() : void();
    case Liveness::State::suspect:
      return current ? renew() : void();
    case Liveness::State::dead:
      return current ? lost(kDead) : left(session);
  }
}

void Supervisor::renew() {
  round_trip_ = line_->liveness->round_trip();
  if (!options_.reconnect || pause_.active() || connector_.state() != Connector::State::idle)
    return;
  connect_now();
}

void Supervisor::stop_renewing() {
  pause_.stop();
  connector_.cancel();
  backoff_.reset();
}

template <typename Function>
void Supervisor::each_line(Function function) {
  if (line_) function(*line_);
  for (const auto& line : leaving_) function(*line);
}

void Supervisor::lost(const Error& error) {
  const Error reason = error;
  ++past_.losses;
  const Session* const session = line_->session.get();
  round_trip_ = line_->liveness->round_trip();
  take_back(session);
  retire(std::move(line_));
  if (loop_.now() - online_since_ >= kStable) backoff_.forget();
  if (!options_.reconnect) return set_state(State::failed, &reason);  // what waits may move on
  set_state(State::reconnecting, &reason);
  const bool under_way = pause_.active() || connector_.state() != Connector::State::idle;
  if (state_ == State::reconnecting && !under_way) connect_later(reason, 0ms);
}

void Supervisor::left(Session* session) {
  const auto found = std::find_if(leaving_.begin(), leaving_.end(), [session](const auto& line) {
    return line->session.get() == session;
  });
  if (found == leaving_.end()) return;
  ++past_.losses;
  log::info("a former SSH connection is gone, and its flows with it");
  retire(std::move(*found));
  leaving_.erase(found);
}

// A former session goes with its last flow.
void Supervisor::watch_leaving() {
  for (auto& line : leaving_) {
    const bool surplus = leaving_.size() > kMaxLeaving && &line == &leaving_.front();
    if (surplus || line->session->load().users() == 0) retire(std::move(line));
  }
  std::erase(leaving_, nullptr);
  if (!leaving_.empty()) leaving_timer_.start(kLeavingTick);
}

void Supervisor::retire(std::unique_ptr<Line> line) {
  const SessionLoad load = line->session->load();
  past_.received += load.received;
  past_.sent += load.sent;
  line->session->on_closed(nullptr);
  loop_.retire(std::move(line));
}

void Supervisor::network_changed() {
  if (paused_) return;
  each_line([](Line& line) { line.liveness->check(); });
  const bool trying = connector_.state() != Connector::State::idle;
  const bool wanted = state_ == State::reconnecting || (line_ && pause_.active()) || trying;
  if (!wanted || state_ == State::connecting || state_ == State::authenticating) return;
  if (connector_.state() == Connector::State::authenticating) return connector_.doubt();
  const Duration apart = std::max(backoff_.reset(), 2 * round_trip_);
  failed_tries_ = 0;
  if (connector_.age() >= apart) return connect_now();
  if (!trying) pause_.start(apart - connector_.age());
}

void Supervisor::pause() {
  paused_ = true;
  if (state_ != State::connecting) pause_.stop();  // then it is start() that goes on
  each_line([](Line& line) {
    line.liveness->pause();
    line.session->outlast(0ms);
  });
}

void Supervisor::wake() {
  if (!std::exchange(paused_, false)) return;
  each_line([this](Line& line) {
    line.liveness->resume();
    line.session->outlast(options_.longest_silence());
  });
  const bool idle = connector_.state() == Connector::State::idle;
  if (idle && (state_ == State::reconnecting || (line_ && !sound()))) {
    pause_.start(next_try_ - loop_.now());
  }
  network_changed();
}

bool Supervisor::sound() const {
  return line_ && line_->liveness->state() == Liveness::State::alive;
}

void Supervisor::set_state(State next, const Error* error) {
  assert(next != state_ && (state_ != State::failed || next == State::stopped));
  reason_ = error != nullptr ? error->message : "";
  log::debug("ssh: {} -> {}{}{}", to_string(state_), to_string(next), error ? ": " : "", reason_);
  state_ = next;
  if (changed_) changed_(next, error);
}

std::string_view to_string(Supervisor::State state) {
  switch (state) {
    case Supervisor::State::idle:
      return "idle";
    case Supervisor::State::connecting:
      return "connecting";
    case Supervisor::State::authenticating:
      return "authenticating";
    case Supervisor::State::online:
      return "online";
    case Supervisor::State::reconnecting:
      return "reconnecting";
    case Supervisor::State::stopped:
      return "stopped";
    case Supervisor::State::failed:
      return "failed";
  }
  return "unknown";
}

}  // namespace tunproxy::ssh
