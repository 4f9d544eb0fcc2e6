#include "core/ssh/supervisor.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <random>
#include <utility>

#include "core/base/log.h"
#include "core/io/resolver.h"

namespace tunproxy::ssh {
namespace {

constexpr Duration kStable = 30s;  // a connection that lived this long resets the pauses

bool permanent(const Error& error) {
  return error.code == ErrorCode::host_key_refused ||
         error.code == ErrorCode::authentication_failed || error.code == ErrorCode::usage;
}

// Clients that lost the same server must not come back in step.
Duration jittered(Duration pause) {
  static thread_local std::mt19937 random{std::random_device{}()};
  const auto half = pause.count() / 2;
  return Duration(half + std::uniform_int_distribution<Duration::rep>(0, half)(random));
}

}  // namespace

// What was asked for while there was no session.
class Supervisor::Waiting final : public net::Attempt {
 public:
  using Start = std::function<std::unique_ptr<net::Attempt>(Session&, StreamDone)>;

  Waiting(Supervisor& supervisor, Start start, StreamDone done)
      : supervisor_(&supervisor),
        start_(std::move(start)),
        done_(std::move(done)),
        deadline_(supervisor.loop_, [this] { fail("the tunnel is down"); }) {
    place_ = supervisor.waiting_.insert(supervisor.waiting_.end(), this);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() override { leave(); }

  void wait(Duration bound) { deadline_.start(bound); }

  void go(Session& session) {
    leave();
    inner_ = start_(session, [this](Result<std::unique_ptr<net::Stream>> result) {
      std::exchange(done_, nullptr)(std::move(result));
    });
  }

  void fail(const char* why) {
    leave();
    std::exchange(done_, nullptr)(Error{ErrorCode::host_unreachable, why});
  }

 private:
  void leave() {
    deadline_.stop();
    if (supervisor_ != nullptr) std::exchange(supervisor_, nullptr)->waiting_.erase(place_);
  }

  Supervisor* supervisor_;  // nullptr: not in its list any more
  std::list<Waiting*>::iterator place_;
  Start start_;
  StreamDone done_;
  std::unique_ptr<net::Attempt> inner_;
  io::Timer deadline_;
};

Supervisor::Supervisor(io::Loop& loop, SupervisorOptions options)
    : loop_(loop),
      options_(std::move(options)),
      pause_(loop, [this] { dial(); }),
      next_pause_(options_.first_pause) {}

Supervisor::~Supervisor() {
  assert(waiting_.empty());
}

void Supervisor::start(net::Done<void> done) {
  assert(state_ == State::idle);
  started_ = std::move(done);
  set_state(State::connecting, nullptr);
  if (options_.addresses.empty() && options_.way == nullptr) return look_up();
  endpoints_ = options_.addresses;
  pause_.start(0ms);
}

void Supervisor::look_up() {
  attempt_ = io::resolve(loop_, options_.server, [this](Result<std::vector<Endpoint>> found) {
    if (!found) return connection_failed({ErrorCode::server_unreachable, found.error().message});
    endpoints_ = std::move(*found);
    dial();
  });
}

void Supervisor::dial() {
  auto login = options_.make_login();
  if (!login) return connection_failed(login.error());
  login_ = std::move(*login);
  if (options_.way != nullptr) {
    attempt_ = options_.way->connect(
        options_.server,
        [this](Result<std::unique_ptr<net::Stream>> stream) { log_in(std::move(stream)); });
    return;
  }
  attempt_ = io::dial(loop_, endpoints_, options_.dial, [this](auto stream) {
    if (stream) return log_in(std::unique_ptr<net::Stream>(std::move(*stream)));
    log_in(stream.error());
  });
}

void Supervisor::log_in(Result<std::unique_ptr<net::Stream>> stream) {
  if (!stream) {
    const ErrorCode code = stream.error().code;  // a jump host may have refused for good
    return connection_failed({permanent(stream.error()) ? code : ErrorCode::server_unreachable,
                              fmt::format("cannot reach the SSH server {}: {}",
                                          options_.server.to_string(), stream.error().message)});
  }
  attempt_ = Session::open(loop_, std::move(*stream), std::move(login_), options_.session,
                           [this](Result<std::unique_ptr<Session>> session) {
                             if (!session) return connection_failed(session.error());
                             came_online(std::move(*session));
                           });
}

void Supervisor::came_online(std::unique_ptr<Session> session) {
  attempt_.reset();
  session_ = std::move(session);
  session_->on_closed([this](const Error& error) { lost(error); });
  online_since_ = loop_.now();
  set_state(State::online, nullptr);
  if (started_) std::exchange(started_, nullptr)({});
  release_waiting();
}

void Supervisor::lost(const Error& error) {
  const Error reason = error;
  loop_.retire(std::move(session_));
  if (loop_.now() - online_since_ >= kStable) next_pause_ = options_.first_pause;
  set_state(State::reconnecting, &reason);
  retry();
}

void Supervisor::connection_failed(Error error) {
  attempt_.reset();
  if (state_ == State::reconnecting && !permanent(error)) {
    log::info("reconnect failed: {}", error.message);
    return retry();
  }
  set_state(State::failed, &error);
  release_waiting();
  if (started_) std::exchange(started_, nullptr)(std::move(error));
}

void Supervisor::retry() {
  pause_.start(jittered(next_pause_));
  next_pause_ = std::min(next_pause_ * 2, options_.longest_pause);
}

void Supervisor::release_waiting() {
  while (!waiting_.empty()) {
    if (state_ == State::online) {
      waiting_.front()->go(*session_);
    } else {
      waiting_.front()->fail("the tunnel has failed");
    }
  }
}

void Supervisor::set_state(State next, const Error* error) {
  assert(next != state_ && state_ != State::failed);
  log::debug("ssh: {} -> {}", to_string(state_), to_string(next));
  state_ = next;
  if (changed_) changed_(next, error);
}

std::unique_ptr<net::Attempt> Supervisor::connect(const Target& target, StreamDone done) {
  if (state_ == State::online) return session_->connect(target, std::move(done));
  return wait_to([target](Session& session,
                          StreamDone then) { return session.connect(target, std::move(then)); },
                 std::move(done));
}

std::unique_ptr<net::Attempt> Supervisor::run(std::string command, StreamDone done) {
  if (state_ == State::online) return session_->run(std::move(command), std::move(done));
  return wait_to(
      [command = std::move(command)](Session& session, StreamDone then) {
        return session.run(command, std::move(then));
      },
      std::move(done));
}

std::unique_ptr<net::Attempt> Supervisor::wait_to(
    std::function<std::unique_ptr<net::Attempt>(Session&, StreamDone)> start, StreamDone done) {
  const bool refused = state_ == State::failed || waiting_.size() >= kMaxWaiting;
  auto waiting = std::make_unique<Waiting>(*this, std::move(start), std::move(done));
  waiting->wait(refused ? 0ms : options_.wait_for_session);
  return waiting;
}

std::unique_ptr<net::Attempt> Supervisor::exec(std::string command, net::Done<ExecResult> done) {
  assert(state_ == State::online);
  return session_->exec(std::move(command), std::move(done));
}

std::string_view to_string(Supervisor::State state) {
  switch (state) {
    case Supervisor::State::idle:
      return "idle";
    case Supervisor::State::connecting:
      return "connecting";
    case Supervisor::State::online:
      return "online";
    case Supervisor::State::reconnecting:
      return "reconnecting";
    case Supervisor::State::failed:
      return "failed";
  }
  return "unknown";
}

}  // namespace tunproxy::ssh
