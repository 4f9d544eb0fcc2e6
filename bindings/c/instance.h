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

/// Thread-safe, but for the destructor. `mutex_` guards what the threads share; `calls_` lets one
/// start or stop happen at a time. Callbacks run without either.
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
  /// The same, and waits for it; nothing happens while there is no tunnel.
  Outcome ask(const std::function<void(Tunnel&)>& question);
  Outcome stop(std::optional<Duration> timeout);

  const tunproxy_callbacks& callbacks() const { return callbacks_; }
  tunproxy_state state() const;
  /// From the run, which ends before this does.
  void set_state(tunproxy_state state);
  /// A callback of this instance is on this thread's stack.
  bool in_callback() const;

 private:
  void thread_main();
  void join_thread();

  const tunproxy_callbacks callbacks_;
  std::mutex calls_;  // held by start and stop; before mutex_
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  Config config_;
  Config run_config_;     // of the run, and untouched while it lasts
  Device device_;         // of the run that is about to begin
  bool running_ = false;  // the thread is there, though it may be about to end
  bool stopping_ = false;
  Run* run_ = nullptr;  // while it can be talked to
  tunproxy_state last_state_ = TUNPROXY_IDLE;
  std::thread thread_;
};

}  // namespace tunproxy::c_api
