// Connector: one try after the other to have a session with a server.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/base/log.h"
#include "core/io/known_server.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/proxy.h"
#include "core/ssh/login.h"
#include "core/ssh/session.h"
#include "core/ssh/supervisor_options.h"

namespace tunproxy::ssh {

/// Trying again would not help: the host key, the login or the configuration is refused.
bool permanent(const Error& error);
/// How loudly it is told that there is no further connection: another host key is news for people.
log::Level level_of_refusal(const Error& error);

///   idle ──start()──► reaching ──► authenticating ──► idle (done)
///
/// Reaching is a dial (see io::KnownServer), or what `way` does.
class Connector {
 public:
  enum class State : uint8_t { idle, reaching, authenticating };

  /// `options` outlive it.
  Connector(io::Loop& loop, const SupervisorOptions& options);
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  struct Pace {
    Duration patience;  ///< bounds how long the server may take to be reached
    Duration again{};   ///< see io::DialOptions
  };

  /// `reached` is called when authentication begins, `done` with the outcome: the codes of
  /// Session::open, or server_unreachable. REQUIRES: idle
  void start(const Pace& pace, std::function<void()> reached,
             net::Done<std::unique_ptr<Session>> done);
  /// Gives the try up; neither callback comes.
  void cancel();
  /// The network changed: the try fails if it waits for the server and hears nothing for a while.
  void doubt();

  State state() const { return state_; }
  /// For how long it has been trying.
  Duration age() const { return loop_.now() - began_; }
  const std::vector<Endpoint>& addresses() const { return server_.addresses(); }

 private:
  void reach();
  void authenticate(Result<std::unique_ptr<net::Stream>> stream);
  void lose_patience();
  void end(Result<std::unique_ptr<Session>> outcome);

  io::Loop& loop_;
  const SupervisorOptions& options_;
  State state_ = State::idle;
  io::KnownServer server_;
  std::optional<IpAddress>
      server_address_;  // at which the server was reached, as far as it is known
  std::function<void()> reached_;
  net::Done<std::unique_ptr<Session>> done_;
  Pace pace_{};
  Instant began_{};
  std::unique_ptr<Login> login_;
  std::unique_ptr<net::Attempt> step_;  // of the try; or:
  std::unique_ptr<Session::Opening> opening_;
  Instant doubted_at_{};
  bool its_turn_ = false;  // the server's, when it was looked at last
  io::Timer patience_;     // for the way, and for a login in doubt
};

}  // namespace tunproxy::ssh
