// Connector: one try after the other to have a session with a server.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/proxy.h"
#include "core/ssh/login.h"
#include "core/ssh/session.h"
#include "core/ssh/supervisor_options.h"

namespace tunproxy::ssh {

/// Trying again would not help: the host key, the login or the configuration is refused.
bool permanent(const Error& error);

///   idle ──start()──► reaching ──► authenticating ──► idle (done)
///
/// Reaching is a dial, or what `way` does. The server's name is looked up before the first try.
/// After a try in which no address answered it is looked up again, by `look_up_again`, while the
/// tries go on: new addresses come first, known ones are kept.
class Connector {
 public:
  enum class State : uint8_t { idle, reaching, authenticating };

  /// `options` outlive it.
  Connector(io::Loop& loop, const SupervisorOptions& options);
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  /// `reached` is called when authentication begins, `done` with the outcome: the codes of
  /// Session::open, or server_unreachable. `patience` bounds a dial. REQUIRES: idle
  void start(Duration patience, std::function<void()> reached,
             net::Done<std::unique_ptr<Session>> done);
  /// Gives the try up; neither callback comes.
  void cancel();

  State state() const { return state_; }
  /// For how long it has been trying.
  Duration age() const { return loop_.now() - began_; }
  const std::vector<Endpoint>& addresses() const { return addresses_; }

 private:
  void look_up();
  void look_up_again();
  void reach();
  void authenticate(Result<std::unique_ptr<net::Stream>> stream);
  void end(Result<std::unique_ptr<Session>> outcome);

  io::Loop& loop_;
  const SupervisorOptions& options_;
  State state_ = State::idle;
  std::vector<Endpoint> addresses_;
  std::optional<IpAddress>
      server_address_;  // at which the server was reached, as far as it is known
  std::function<void()> reached_;
  net::Done<std::unique_ptr<Session>> done_;
  Duration patience_{};
  Instant began_{};
  Instant looked_up_{};
  std::unique_ptr<Login> login_;
  std::unique_ptr<net::Attempt> step_;      // of the try
  std::unique_ptr<net::Attempt> addition_;  // a look-up beside it
};

}  // namespace tunproxy::ssh
