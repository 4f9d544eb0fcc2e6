#include "bindings/c/instance.h"

#include <csignal>
#include <system_error>
#include <utility>

#include "bindings/c/run.h"
#include "core/config_ssh.h"

namespace tunproxy::c_api {
namespace {

thread_local const Instance* calling = nullptr;  // whose callback is on this thread's stack

// A thread of the library handles no signals: they are the program's.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &former_, nullptr); }

 private:
  sigset_t former_;
};

Failure from_callback() {
  return {TUNPROXY_ERROR_CALLBACK, "not from within a callback: it would wait for itself"};
}

Failure not_running() {
  return {TUNPROXY_ERROR_STATE, "it does not run"};
}

}  // namespace

tunproxy_result code_for(const Error& error) {
  switch (error.code) {
    case ErrorCode::usage:
      return TUNPROXY_ERROR_CONFIG;
    case ErrorCode::host_key_refused:
      return TUNPROXY_ERROR_HOST_KEY;
    case ErrorCode::authentication_failed:
      return TUNPROXY_ERROR_AUTHENTICATION;
    case ErrorCode::server_unreachable:
    case ErrorCode::host_unreachable:
    case ErrorCode::timed_out:
      return TUNPROXY_ERROR_UNREACHABLE;
    case ErrorCode::no_permission:
    case ErrorCode::not_allowed:
      return TUNPROXY_ERROR_PERMISSION;
    case ErrorCode::protocol:
      return TUNPROXY_ERROR_PROTOCOL;
    case ErrorCode::limit:
      return TUNPROXY_ERROR_LIMIT;
    default:
      return TUNPROXY_ERROR_OTHER;
  }
}

CallingOut::CallingOut(const Instance& instance) : former_(std::exchange(calling, &instance)) {}

CallingOut::~CallingOut() {
  calling = former_;
}

// The user's ssh_config is a program's to ask for: reading it runs `ssh`.
Instance::Instance(const tunproxy_callbacks& callbacks) : callbacks_(callbacks) {
  config_.ssh.config.mode = SshConfigUse::Mode::none;
}

Instance::~Instance() {
  stop(std::nullopt);
}

bool Instance::in_callback() const {
  return calling == this;
}

Outcome Instance::configure(const std::function<Result<void>(Config&)>& change) {
  const std::lock_guard lock(mutex_);
  if (running_) return Failure{TUNPROXY_ERROR_STATE, "stop it first: it runs"};
  Config changed = config_;
  if (auto done = change(changed); !done) {
    return Failure{TUNPROXY_ERROR_CONFIG, done.error().message};
  }
  config_ = std::move(changed);
  return std::nullopt;
}

Outcome Instance::start(Device::Kind kind, int fd, uint16_t mtu) {
  if (in_callback()) return from_callback();
  const std::lock_guard one_call(calls_);
  {
    const std::lock_guard lock(mutex_);
    if (running_) return Failure{TUNPROXY_ERROR_STATE, "it runs already"};
    Config config = config_;
    config.tun = kind != Device::Kind::none;
    if (config.tun) config.mtu = mtu;
    if (auto good = config.check(); !good) {
      return Failure{TUNPROXY_ERROR_CONFIG, good.error().message};
    }
    if (auto resolved = resolve_ssh(config, ""); !resolved) {
      return Failure{TUNPROXY_ERROR_CONFIG, resolved.error().message};
    }
    run_config_ = std::move(config);
  }
  join_thread();
  stopping_ = false;
  running_ = true;
  device_ = Device{kind, UniqueFd(fd), mtu};
  try {
    const SignalsBlocked blocked;
    thread_ = std::thread([this] { thread_main(); });
  } catch (const std::system_error& error) {
    running_ = false;
    device_.fd.release();
    return Failure{TUNPROXY_ERROR_LIMIT, std::string("no thread: ") + error.what()};
  }
  return std::nullopt;
}

void Instance::thread_main() {
  {
    const log::UseSink use(log_sink(*this, run_config_));
    Run run(*this, run_config_, std::move(device_));
    bool wanted = false;
    {
      const std::lock_guard lock(mutex_);
      wanted = !stopping_;
      if (wanted) run_ = &run;
    }
    if (wanted) run.run();
    const std::lock_guard lock(mutex_);
    run_ = nullptr;
  }
  set_state(TUNPROXY_STOPPED);
  const std::lock_guard lock(mutex_);
  running_ = false;
  ended_.notify_all();
}

Outcome Instance::stop(std::optional<Duration> timeout) {
  if (in_callback()) return from_callback();
  const std::lock_guard one_call(calls_);
  std::unique_lock lock(mutex_);
  stopping_ = true;
  if (run_ != nullptr) run_->loop().stop();
  const auto over = [this] { return !running_; };
  if (!timeout) {
    ended_.wait(lock, over);
  } else if (!ended_.wait_for(lock, *timeout, over)) {
    return Failure{TUNPROXY_ERROR_TIMEOUT, "it has not ended yet: a callback may be blocking"};
  }
  lock.unlock();
  join_thread();
  return std::nullopt;
}

void Instance::join_thread() {
  if (thread_.joinable()) thread_.join();
}

Outcome Instance::push(const tunproxy_packet* packets, size_t count, size_t* taken) {
  const std::lock_guard lock(mutex_);
  if (run_ == nullptr) return not_running();
  if (run_->packets() == nullptr) return Failure{TUNPROXY_ERROR_STATE, "not in packet mode"};
  const size_t room = run_->packets()->push(packets, count);
  if (taken != nullptr) *taken = room;
  return std::nullopt;
}

Outcome Instance::answer(tunproxy_question question, std::optional<Secret> answer) {
  const std::lock_guard lock(mutex_);
  if (run_ == nullptr) return not_running();
  if (run_->prompter().answer(question, std::move(answer))) return std::nullopt;
  return Failure{TUNPROXY_ERROR_ARGUMENT, "nobody waits for an answer to this question"};
}

Outcome Instance::tell(std::function<void(Tunnel&)> order) {
  const std::lock_guard lock(mutex_);
  if (run_ == nullptr) return not_running();
  run_->loop().post([run = run_, order = std::move(order)] { order(run->tunnel()); });
  return std::nullopt;
}

Outcome Instance::ask(const std::function<void(Tunnel&)>& question) {
  std::unique_lock lock(mutex_);
  if (run_ == nullptr) return not_running();
  if (std::this_thread::get_id() == thread_.get_id()) {
    Tunnel& tunnel = run_->tunnel();
    lock.unlock();
    question(tunnel);
    return std::nullopt;
  }
  bool answered = false;
  run_->loop().post([&, run = run_] {
    question(run->tunnel());
    const std::lock_guard done(mutex_);
    answered = true;
    ended_.notify_all();
  });
  ended_.wait(lock, [&] { return answered || !running_; });
  return answered ? std::nullopt : Outcome(not_running());
}

tunproxy_state Instance::state() const {
  const std::lock_guard lock(mutex_);
  return last_state_;
}

void Instance::set_state(tunproxy_state state) {
  const std::lock_guard lock(mutex_);
  last_state_ = state;
}

}  // namespace tunproxy::c_api
