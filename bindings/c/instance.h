// Instance: one tunnel in a thread of its own, for the C functions of tunproxy.h.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "bindings/c/tunproxy.h"
#include "core/base/result.h"
#include "core/base/unique_fd.h"
#include "core/config.h"
#include "core/tunnel.h"

namespace tunproxy::c_api {

/// What to run over.
struct Device {
  enum class Kind : uint8_t { none, fd, packets };
  Kind kind = Kind::none;
  UniqueFd fd;
  uint16_t mtu = 0;
};

/// An error of a call: what it returns, and what tunproxy_error_text() says.
struct Failure {
  tunproxy_result code;
  std::string text;
};
using Outcome = std::optional<Failure>;  // nullopt: success

tunproxy_result code_for(const Error& error);

class Run;

/// Thread-safe, but for the destructor. `mutex_` guards what the threads share and is never held
/// for long. Callbacks run without it.
class Instance {
 public:
  explicit Instance(const tunproxy_callbacks& callbacks);
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  /// Stops, however long it takes. REQUIRES: not from a callback.
  ~Instance();

  Outcome configure(const std::function<Result<void>(Config&)>& change);
  /// `fd` is taken on success only.
  Outcome start(Device::Kind kind, int fd, uint16_t mtu);
  Outcome push(const tunproxy_packet* packets, size_t count, size_t* taken);
  Outcome answer(tunproxy_question question, std::optional<Secret> answer);
  /// Runs `order` with the tunnel, in its thread, soon.
  Outcome tell(std::function<void(Tunnel&)> order);
  /// The same, and waits for it; at once if a callback in that thread asks. Nothing happens while
  /// there is no tunnel.
  Outcome ask(const std::function<void(Tunnel&)>& question);
  Outcome stop(std::optional<Duration> timeout);

  const tunproxy_callbacks& callbacks() const { return callbacks_; }
  tunproxy_state state() const;
  /// In the thread of the run: keeps the state and tells the program. Nothing but the end comes
  /// after TUNPROXY_FAILED.
  void report(tunproxy_state state, const Error* reason);
  /// A callback of this instance is on this thread's stack.
  bool in_callback() const;
  /// This thread is the one of the run.
  bool in_own_thread() const;

 private:
  // idle → starting → running → idle; starting → idle if it cannot.
  enum class Phase : uint8_t { idle, starting, running };

  Outcome prepare(Device::Kind kind, uint16_t mtu, Config& config) const;
  Outcome begin(Device device, Config config);
  void thread_main();
  void live();
  Run* current(std::unique_lock<std::mutex>& lock);

  const tunproxy_callbacks callbacks_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;  // phase_, stopping_, coming_, an answer to ask()
  Config config_;
  Config run_config_;  // of the run, and untouched while it lasts
  Device device_;      // of the run that is about to begin
  Phase phase_ = Phase::idle;
  uint64_t starts_ = 0;  // so that who waits for an end does not wait for the next one
  bool stopping_ = false;
  bool coming_ = false;  // the thread has begun, and run_ is not there yet
  Run* run_ = nullptr;   // while it can be talked to
  uint64_t lives_ = 0;   // how often run_ was taken away
  tunproxy_state last_state_ = TUNPROXY_IDLE;
  std::thread thread_;
};

}  // namespace tunproxy::c_api
