// SessionLogin: an SSH connection from its banner to the moment when the user is authenticated.
#pragma once

#include <functional>
#include <memory>

#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/proxy.h"
#include "core/net/stream.h"
#include "core/ssh/login.h"
#include "core/ssh/session.h"
#include "core/ssh/transport.h"

namespace tunproxy::ssh {

///   key_exchange ──► host_key ──► authentication ──► ended
///
/// The last two run in steps in threads of their own: while one runs, the loop thread leaves the
/// transport alone and bytes wait in the stream. Destroying this ends a step soon
/// (Login::cancel()); what the step uses lives as long as it runs.
class SessionLogin {
 public:
  struct LoggedIn {
    std::unique_ptr<net::Stream> stream;
    std::shared_ptr<Transport> transport;
  };

  SessionLogin(io::Loop& loop, std::unique_ptr<net::Stream> stream, std::unique_ptr<Login> login,
               const SessionOptions& options, net::Done<LoggedIn> done);
  SessionLogin(const SessionLogin&) = delete;
  SessionLogin& operator=(const SessionLogin&) = delete;
  ~SessionLogin();

  Instant last_heard() const { return last_heard_; }
  bool waits_for_server() const { return step_ == nullptr; }

 private:
  enum class State : uint8_t { key_exchange, host_key, authentication, ended };
  struct Shared;

  void set_state(State next);
  void look();
  void exchange_keys();
  void check_host_key();
  void authenticate();
  void run_step(std::function<void(Shared&)> step);
  void on_step_done();
  void on_second();
  void end(const Error* error);

  io::Loop& loop_;
  std::unique_ptr<net::Stream> stream_;
  std::shared_ptr<Shared> shared_;
  const SessionOptions options_;
  net::Done<LoggedIn> done_;
  State state_ = State::key_exchange;
  Instant last_heard_;
  Duration spent_{};  // in the present phase, without the time in which the user is asked
  std::unique_ptr<net::Attempt> step_;
  io::Timer second_;
  io::Task look_;
};

}  // namespace tunproxy::ssh
