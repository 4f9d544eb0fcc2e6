// Supervisor: a Proxy over one SSH server that stays usable while connections come and go. It
// dials, logs in, and when the connection is lost does so again, with growing pauses.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/io/tcp.h"
#include "core/io/timer.h"
#include "core/net/proxy.h"
#include "core/ssh/login.h"
#include "core/ssh/session.h"

namespace tunproxy::ssh {

struct SupervisorOptions {
  Target server;
  std::vector<Endpoint> addresses;  ///< of the server, if they are known; else they are looked up
  io::DialOptions dial;
  /// What reaches the server (jump hosts, a proxy, a command); it looks the name up in its own way.
  /// Null: dialled from here. Outlives the supervisor.
  net::Proxy* way = nullptr;
  SessionOptions session;
  std::function<Result<std::unique_ptr<Login>>()> make_login;  ///< called for each connection
  Duration wait_for_session = 10s;  ///< how long a flow waits for a reconnect
  Duration first_pause = 500ms;     ///< before a reconnect; doubles up to:
  Duration longest_pause = 30s;
};

/// idle → connecting → online ⇄ reconnecting;  connecting, reconnecting → failed (for good).
/// The server's name is looked up once: while the tunnel is down its name would have to go through
/// it.
class Supervisor final : public net::Proxy {
 public:
  enum class State : uint8_t { idle, connecting, online, reconnecting, failed };
  using StreamDone = net::Done<std::unique_ptr<net::Stream>>;
  static constexpr size_t kMaxWaiting = 256;  ///< flows that wait for a session; more are refused

  Supervisor(io::Loop& loop, SupervisorOptions options);
  ~Supervisor() override;

  /// Makes the first connection; `done` gets its outcome (the codes of Session::open, and
  /// server_unreachable if the dial failed). REQUIRES: idle
  void start(net::Done<void> done);
  /// Called after each change of state; the error is what ended the last connection, or nullptr.
  void on_state(std::function<void(State, const Error*)> changed) { changed_ = std::move(changed); }
  State state() const { return state_; }
  /// The server's, once looked up.
  const std::vector<Endpoint>& addresses() const { return endpoints_; }

  /// Through the session, or as soon as there is one again; host_unreachable if that takes too
  /// long.
  std::unique_ptr<net::Attempt> connect(const Target& target, StreamDone done) override;
  /// Session::run in the same way.
  std::unique_ptr<net::Attempt> run(std::string command, StreamDone done);
  /// Session::exec of the present session. REQUIRES: online
  std::unique_ptr<net::Attempt> exec(std::string command, net::Done<ExecResult> done);

 private:
  class Waiting;

  void set_state(State next, const Error* error);
  void look_up();
  void dial();
  void log_in(Result<std::unique_ptr<net::Stream>> stream);
  void came_online(std::unique_ptr<Session> session);
  void lost(const Error& error);
  void connection_failed(Error error);
  void retry();
  void release_waiting();
  std::unique_ptr<net::Attempt> wait_to(
      std::function<std::unique_ptr<net::Attempt>(Session&, StreamDone)> start, StreamDone done);

  io::Loop& loop_;
  SupervisorOptions options_;
  State state_ = State::idle;
  std::function<void(State, const Error*)> changed_;
  net::Done<void> started_;
  std::vector<Endpoint> endpoints_;
  std::unique_ptr<net::Attempt> attempt_;  // the look-up, dial or login under way
  std::unique_ptr<Login> login_;           // for the connection that is being dialled
  std::unique_ptr<Session> session_;
  std::list<Waiting*> waiting_;
  io::Timer pause_;
  Duration next_pause_;
  Instant online_since_{};
};

std::string_view to_string(Supervisor::State state);

}  // namespace tunproxy::ssh
