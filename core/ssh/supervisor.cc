#include "core/ssh/supervisor.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/base/log.h"
#include "core/io/persist.h"

namespace tunproxy::ssh {
namespace {

constexpr Duration kStable = 30s;  // a connection that lived this long resets the pauses
constexpr Duration kLeavingTick = 1s;
// While a network is away, packets vanish; a dial that begins anew is how its return is noticed.
constexpr Duration kFirstPatience = 2s;
constexpr unsigned kTriesUntilPatient = 8;

SupervisorOptions prepared(SupervisorOptions options) {
  if (!options.asleep) options.asleep = time_asleep;
  options.dial.prepare = [before = std::move(options.dial.prepare),
                          bound = options.keepalive * 3](int fd) -> Result<void> {
    if (before) {
      if (auto done = before(fd); !done) return done;
    }
    return io::persist(fd, bound);
  };
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
  connector_.start(
      patience(),
      [this] {
        silent_tries_ = 0;
        if (state_ == State::connecting) set_state(State::authenticating, nullptr);
      },
      [this](Result<std::unique_ptr<Session>> session) {
        if (!session) return connection_failed(session.error());
        came_online(std::move(*session));
      });
}

// The first connection is somebody's who waits and can see why it takes long.
Duration Supervisor::patience() const {
  if (state_ == State::connecting) return options_.dial.timeout;
  if (silent_tries_ < kTriesUntilPatient) return kFirstPatience;
  return kFirstPatience * (1u << std::min(silent_tries_ - kTriesUntilPatient + 1, 3u));
}

void Supervisor::connection_failed(Error error) {
  ++silent_tries_;
  const bool first = state_ == State::connecting || state_ == State::authenticating;
  const bool again = !first || (options_.keep_trying && options_.reconnect);
  if (again && !permanent(error)) {
    if (first) {
      set_state(State::reconnecting, &error);
    } else {
      log::info("reconnect failed: {}", error.message);
    }
    return connect_later(error);
  }
  if (state_ == State::online) {  // the session in doubt may yet answer
    return log::warn("no second connection to the SSH server: {}", error.message);
  }
  set_state(State::failed, &error);
  fail_waiting({ErrorCode::host_unreachable, "the tunnel has failed"});
  if (started_) std::exchange(started_, nullptr)(std::move(error));
}

void Supervisor::connect_later(const Error& error) {
  const Duration pause = backoff_.next(error, loop_.now());
  // A dial that nobody answered was a pause in itself.
  pause_.start(std::max(pause - connector_.age(), std::min(pause, options_.first_pause)));
}

void Supervisor::came_online(std::unique_ptr<Session> session) {
  ++past_.logins;
  silent_tries_ = 0;
  backoff_.let_in();
  Session* const now = session.get();
  now->on_closed([this, now](const Error& error) {
    if (line_ && line_->session.get() == now) return lost(error);
    left(now);
  });
  auto before = std::exchange(line_, std::make_unique<Line>());
  line_->session = std::move(session);
  line_->liveness =
      std::make_unique<Liveness>(loop_, *now, options_.keepalive, options_.asleep,
                                 [this, now](auto state) { on_liveness(now, state); });
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
  if (!options_.reconnect || pause_.active() || connector_.state() != Connector::State::idle)
    return;
  connect_now();
}

void Supervisor::stop_renewing() {
  pause_.stop();
  connector_.cancel();
  backoff_.reset();
}

void Supervisor::lost(const Error& error) {
  const Error reason = error;
  ++past_.losses;
  const Session* const session = line_->session.get();
  take_back(session);
  retire(std::move(line_));
  if (loop_.now() - online_since_ >= kStable) backoff_.forget();
  if (!options_.reconnect) return set_state(State::failed, &reason);  // what waits may move on
  set_state(State::reconnecting, &reason);
  const bool under_way = pause_.active() || connector_.state() != Connector::State::idle;
  if (state_ == State::reconnecting && !under_way) connect_later(reason);
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
    if (surplus || line->session->load().channels == 0) retire(std::move(line));
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
  if (line_) line_->liveness->check();
  for (auto& line : leaving_) line->liveness->check();
  const bool trying = connector_.state() != Connector::State::idle;
  const bool wanted = state_ == State::reconnecting || (line_ && pause_.active()) || trying;
  if (!wanted || state_ == State::connecting || state_ == State::authenticating) return;
  const Duration apart = backoff_.reset();
  silent_tries_ = 0;
  if (connector_.age() >= apart) return connect_now();
  if (!trying) pause_.start(apart - connector_.age());
}

void Supervisor::set_keepalive(Duration keepalive) {
  options_.keepalive = keepalive;
  if (line_) line_->liveness->set_keepalive(keepalive);
  for (auto& line : leaving_) line->liveness->set_keepalive(keepalive);
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
