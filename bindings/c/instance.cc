#include "bindings/c/instance.h"

#include <csignal>
#include <exception>
#include <utility>

#include "bindings/c/run.h"
#include "core/config_schema.h"
#include "core/config_ssh.h"

namespace tunproxy::c_api {
namespace {

thread_local const Instance* calling = nullptr;  // whose callback is on this thread's stack
thread_local const Instance* living = nullptr;   // whose thread this is

// A thread of the library handles no signals: they are the program's. Those that its own faults
// raise stay as they are.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) {
      sigdelset(&blocked, fault);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, &former_);
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
    case ErrorCode::network_unreachable:
    case ErrorCode::refused:
    case ErrorCode::reset:
    case ErrorCode::timed_out:
      return TUNPROXY_ERROR_UNREACHABLE;
    case ErrorCode::no_permission:
    case ErrorCode::not_allowed:
      return TUNPROXY_ERROR_PERMISSION;
    case ErrorCode::protocol:
      return TUNPROXY_ERROR_PROTOCOL;
    case ErrorCode::limit:
      return TUNPROXY_ERROR_LIMIT;
    case ErrorCode::device_lost:
      return TUNPROXY_ERROR_DEVICE;
    case ErrorCode::general:
    case ErrorCode::command_not_supported:
    case ErrorCode::address_not_supported:
    case ErrorCode::cancelled:
      return TUNPROXY_ERROR_OTHER;
  }
  return TUNPROXY_ERROR_OTHER;
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

bool Instance::in_own_thread() const {
  return living == this;
}

Outcome Instance::configure(const std::function<Result<void>(Config&)>& change) {
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::idle) return Failure{TUNPROXY_ERROR_STATE, "stop it first: it runs"};
  Config changed = config_;
  auto done = change(changed);
  if (done) done = check_for_library(changed);
  if (!done) return Failure{TUNPROXY_ERROR_CONFIG, done.error().message};
  config_ = std::move(changed);
  return std::nullopt;
}

// -- the beginning

Outcome Instance::start(Device::Kind kind, int fd, uint16_t mtu) {
  if (in_callback()) return from_callback();
  Config config;
  {
    const std::lock_guard lock(mutex_);
    if (phase_ != Phase::idle) return Failure{TUNPROXY_ERROR_STATE, "it runs already"};
    config = config_;
    phase_ = Phase::starting;
    ++starts_;
    stopping_ = false;
  }
  Outcome outcome;
  try {
    outcome = prepare(kind, mtu, config);
  } catch (const std::exception& error) {  // stop() would wait for ever
    outcome = Failure{TUNPROXY_ERROR_LIMIT, error.what()};
  }
  const std::lock_guard lock(mutex_);
  if (!outcome && stopping_) outcome = Failure{TUNPROXY_ERROR_STATE, "stopped while it started"};
  if (!outcome) outcome = begin({kind, UniqueFd(fd), mtu}, std::move(config));
  if (outcome) {
    phase_ = Phase::idle;
    changed_.notify_all();
  }
  return outcome;
}

namespace {

// A key that is taken without a question and forgotten would be taken from anybody.
bool keeps_keys_nowhere(const Config& config) {
  const ssh::HostSettings& login = config.ssh.login;
  return config.ssh.config.mode == SshConfigUse::Mode::none && login.known_hosts.empty() &&
         login.host_keys == ssh::HostKeyPolicy::accept_new;
}

// What nobody told the instance, it does not take from the user's files or from the environment.
void use_only_what_is_said(Config& config) {
  if (config.ssh.config.mode != SshConfigUse::Mode::none) return;
  const std::vector<std::string> none = {"none"};
  ssh::HostSettings& login = config.ssh.login;
  if (login.identity_agent.empty()) login.identity_agent = "none";
  if (login.usual_identities.empty()) login.usual_identities = none;
  if (login.known_hosts.empty()) login.known_hosts = none;
  if (login.system_known_hosts.empty()) login.system_known_hosts = none;
}

}  // namespace

// Slow: it reads files, and may run `ssh`.
Outcome Instance::prepare(Device::Kind kind, uint16_t mtu, Config& config) const {
  const log::UseSink use(log_sink(*this, config));
  config.tun = kind != Device::Kind::none;
  if (config.tun) config.mtu = mtu;
  if (!config.tun && !config.listener.at) {
    return Failure{TUNPROXY_ERROR_CONFIG,
                   "socks: without a device the listener is all there is: set it to ADDR:PORT"};
  }
  if (keeps_keys_nowhere(config)) {
    return Failure{TUNPROXY_ERROR_CONFIG,
                   "host-key-policy: accept-new needs a file of known-hosts, to remember keys in"};
  }
  use_only_what_is_said(config);
  auto good = config.check();
  if (good) good = resolve_ssh(config, "");
  if (!good) return Failure{TUNPROXY_ERROR_CONFIG, good.error().message};
  return std::nullopt;
}

// REQUIRES: the lock
Outcome Instance::begin(Device device, Config config) {
  if (thread_.joinable()) thread_.join();  // the last one, which only has to return
  run_config_ = std::move(config);
  device_ = std::move(device);
  coming_ = true;
  try {
    const SignalsBlocked blocked;
    thread_ = std::thread([this] { thread_main(); });
  } catch (const std::exception& error) {
    coming_ = false;
    device_.fd.release();
    return Failure{TUNPROXY_ERROR_LIMIT, std::string("no thread: ") + error.what()};
  }
  phase_ = Phase::running;
  last_state_ = TUNPROXY_CONNECTING;
  return std::nullopt;
}

void Instance::thread_main() {
  living = this;
  const log::UseSink use(log_sink(*this, run_config_));
  live();
  report(TUNPROXY_STOPPED, nullptr);
  const std::lock_guard lock(mutex_);
  phase_ = Phase::idle;
  changed_.notify_all();
}

// What goes wrong before there is a run is told as any failure is; later exceptions would have to
// leave through the loop's C, and end the program.
void Instance::live() {
  std::unique_ptr<Run> run;
  Device device;
  {
    const std::lock_guard lock(mutex_);
    device = std::move(device_);
  }
  try {
    run = std::make_unique<Run>(*this, run_config_, std::move(device));
  } catch (const std::exception& failure) {
    const Error error{ErrorCode::limit, failure.what()};
    report(TUNPROXY_FAILED, &error);
  }
  std::unique_lock lock(mutex_);
  coming_ = false;
  changed_.notify_all();
  if (!run) return changed_.wait(lock, [this] { return stopping_; });
  if (stopping_) return;
  run_ = run.get();
  lock.unlock();
  run->run();
  lock.lock();
  run_ = nullptr;
  ++lives_;  // whoever waits for an answer, waits no more
  changed_.notify_all();
  lock.unlock();
}

// -- the end

Outcome Instance::stop(std::optional<Duration> timeout) {
  if (in_callback()) return from_callback();
  std::unique_lock lock(mutex_);
  stopping_ = true;
  if (run_ != nullptr) run_->loop().stop();
  changed_.notify_all();
  const auto over = [this, start = starts_] { return phase_ == Phase::idle || starts_ != start; };
  if (!timeout) {
    changed_.wait(lock, over);
  } else if (!changed_.wait_for(lock, *timeout, over)) {
    return Failure{TUNPROXY_ERROR_TIMEOUT, "it has not ended yet: a callback may be blocking"};
  }
  if (phase_ == Phase::idle && thread_.joinable()) thread_.join();  // it only has to return
  return std::nullopt;
}

// -- while it runs

// A start that has returned counts as running, though the thread may need a moment. Null: it does
// not run.
Run* Instance::current(std::unique_lock<std::mutex>& lock) {
  if (!in_own_thread()) changed_.wait(lock, [this] { return !coming_; });
  return run_;
}

Outcome Instance::push(const tunproxy_packet* packets, size_t count, size_t* taken) {
  std::unique_lock lock(mutex_);
  Run* const run = current(lock);
  if (run == nullptr) return not_running();
  if (run->packets() == nullptr) return Failure{TUNPROXY_ERROR_STATE, "not in packet mode"};
  const size_t room = run->packets()->push(packets, count);
  if (taken != nullptr) *taken = room;
  return std::nullopt;
}

Outcome Instance::answer(tunproxy_question question, std::optional<Secret> answer) {
  std::unique_lock lock(mutex_);
  Run* const run = current(lock);
  if (run == nullptr) return not_running();
  if (run->prompter().answer(question, std::move(answer))) return std::nullopt;
  return Failure{TUNPROXY_ERROR_ARGUMENT, "nobody waits for an answer to this question"};
}

Outcome Instance::tell(std::function<void(Tunnel&)> order) {
  std::unique_lock lock(mutex_);
  Run* const run = current(lock);
  if (run == nullptr) return not_running();
  run->loop().post([run, order = std::move(order)] { order(run->tunnel()); });
  return std::nullopt;
}

// What is posted and has not run when the run ends never does (Loop), so it may use what is here.
Outcome Instance::ask(const std::function<void(Tunnel&)>& question) {
  std::unique_lock lock(mutex_);
  Run* const run = current(lock);
  if (run == nullptr) return not_running();
  if (in_own_thread()) {
    Tunnel& tunnel = run->tunnel();
    lock.unlock();
    question(tunnel);
    return std::nullopt;
  }
  bool answered = false;
  run->loop().post([&, run] {
    question(run->tunnel());
    const std::lock_guard done(mutex_);
    answered = true;
    changed_.notify_all();
  });
  changed_.wait(lock, [&, life = lives_] { return answered || lives_ != life; });
  return answered ? std::nullopt : Outcome(not_running());
}

tunproxy_state Instance::state() const {
  const std::lock_guard lock(mutex_);
  return last_state_;
}

void Instance::report(tunproxy_state state, const Error* reason) {
  {
    const std::lock_guard lock(mutex_);
    if (last_state_ == TUNPROXY_FAILED && state != TUNPROXY_STOPPED) return;
    last_state_ = state;
  }
  if (callbacks_.state == nullptr) return;
  const CallingOut out(*this);
  callbacks_.state(callbacks_.user, state, reason != nullptr ? code_for(*reason) : TUNPROXY_OK,
                   reason != nullptr ? reason->message.c_str() : "");
}

}  // namespace tunproxy::c_api
