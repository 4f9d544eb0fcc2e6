// Supervisor: a Proxy over one SSH server that stays usable while connections come and go. It
// dials, logs in, watches that the server answers, and when it does not, does so again.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/timer.h"
#include "core/net/proxy.h"
#include "core/ssh/backoff.h"
#include "core/ssh/connector.h"
#include "core/ssh/liveness.h"
#include "core/ssh/request.h"
#include "core/ssh/session.h"
#include "core/ssh/supervisor_options.h"

namespace tunproxy::ssh {

///   idle, stopped ──start()──► connecting ──► authenticating ──► online ⇄ reconnecting
///                                  └────────────────┴──with keep_trying────────┘
///
/// All but idle lead to stopped by stop(), and to failed for good where the server refuses for a
/// reason that stays (host key, login), where it shall not reconnect, or where the first connection
/// fails without keep_trying. A server that does not answer a probe is doubted: while that lasts, a
/// second connection is tried beside the first. If it succeeds, new flows go to it, and the first
/// keeps its own until they end or it is dead.
class Supervisor final : public net::Proxy {
 public:
  enum class State : uint8_t {
    idle,
    connecting,
    authenticating,
    online,
    reconnecting,
    stopped,
    failed
  };
  using StreamDone = net::Done<std::unique_ptr<net::Stream>>;
  static constexpr size_t kMaxWaiting = 256;  ///< flows that wait for a session; more are refused
  static constexpr size_t kMaxLeaving = 4;    ///< former sessions that keep their flows

  /// Since it was made, all its sessions together.
  struct Counters {
    uint64_t logins = 0;  ///< connections that came online
    uint64_t losses = 0;  ///< that were lost
    uint64_t received = 0;
    uint64_t sent = 0;
  };
  struct Status : Counters {
    State state = State::idle;
    bool sound = false;  ///< it answers, as far as is known
    size_t channels = 0;
    Duration round_trip{};  ///< of the last probe; 0: none yet
    Duration online_for{};
  };

  Supervisor(io::Loop& loop, SupervisorOptions options);
  /// As stop(), without a word to start() and on_state().
  ~Supervisor() override;

  /// Makes the first connection; `done` gets its outcome (the codes of Session::open, and
  /// server_unreachable if the dial failed). REQUIRES: idle or stopped
  void start(net::Done<void> done);
  /// Ends everything: streams fail with a reset, attempts with host_unreachable, and start()'s
  /// `done`, if it waits, with cancelled.
  void stop();
  /// Called after each change of state; the error is the reason, or nullptr. It may not destroy
  /// this.
  void on_state(std::function<void(State, const Error*)> changed) { changed_ = std::move(changed); }
  State state() const { return state_; }
  /// What ended the last connection or try; empty if there is nothing to tell.
  const std::string& reason() const { return reason_; }
  /// Online, and the server answers as far as is known.
  bool sound() const;
  /// Nobody has anything on it, or waits for it.
  bool unused() const { return waiting_.empty() && load().users() == 0; }
  /// The server's, once looked up; those of the last look-up first.
  const std::vector<Endpoint>& addresses() const { return connector_.addresses(); }

  /// The machine's network changed: the server is probed at once, and dialled at once if there is
  /// no session. Cheap to call, also often: a few tries a second is all that it causes.
  void network_changed();
  /// Until wake() no probe is sent, no silence counts, and no lost connection is made anew, but
  /// once for a flow that comes and needs one.
  void pause();
  /// Goes on as after network_changed().
  void wake();

  /// Through the session, or as soon as there is one; host_unreachable if that takes too long.
  std::unique_ptr<net::Attempt> connect(const Target& target, StreamDone done) override;
  /// Session::bind in the same way.
  std::unique_ptr<net::Attempt> bind(const net::Expected& expected, net::OnBound on_bound,
                                     net::Done<net::Accepted> done) override;
  /// The same with Session::expedited().
  net::Proxy& expedited() { return expedited_; }
  /// Session::run in the same way.
  std::unique_ptr<net::Attempt> run(std::string command, StreamDone done);
  /// Session::exec in the same way.
  std::unique_ptr<net::Attempt> exec(std::string command, net::Done<ExecResult> done);
  /// Flows that wait for a session go to `other`, as well as those that it has not opened yet if it
  /// is not sound.
  void hand_over(Supervisor& other);

  SessionLoad load() const;  ///< of its sessions now
  Counters counters() const;
  Status status() const;

 private:
  // A session and who watches it.
  struct Line {
    std::unique_ptr<Session> session;
    std::unique_ptr<Liveness> liveness;
  };
  class Expedited final : public net::Proxy {
   public:
    explicit Expedited(Supervisor& supervisor) : supervisor_(supervisor) {}
    std::unique_ptr<net::Attempt> connect(const Target& target, StreamDone done) override;

   private:
    Supervisor& supervisor_;
  };

  void set_state(State next, const Error* error);
  void connect_now();
  void connect_later(const Error& error, Duration tried);
  void connection_failed(Error error);
  void came_online(std::unique_ptr<Session> session);
  void on_liveness(Session* session, Liveness::State state);
  void lost(const Error& error);
  void left(Session* session);
  void renew();
  void stop_renewing();
  void watch_leaving();
  void retire(std::unique_ptr<Line> line);
  void take_back(const Session* session);
  void serve_waiting();
  void fail_waiting(const Error& error);
  void place(Request& request);
  template <typename T>
  std::unique_ptr<net::Attempt> ask(bool repeatable, typename RequestFor<T>::Start start,
                                    net::Done<T> done);
  Connector::Pace pace() const;
  Duration longest_silence() const { return paused_ ? 0ms : options_.longest_silence(); }
  template <typename Function>
  void each_line(Function function);

  io::Loop& loop_;
  SupervisorOptions options_;
  State state_ = State::idle;
  std::string reason_;
  std::function<void(State, const Error*)> changed_;
  net::Done<void> started_;
  Request::List waiting_;
  Request::List served_;
  std::unique_ptr<Line> line_;                  // online: that of new flows
  std::vector<std::unique_ptr<Line>> leaving_;  // former ones with flows
  Counters past_;                               // of sessions that are gone
  Instant online_since_{};
  Connector connector_;
  Backoff backoff_;
  unsigned failed_tries_ = 0;  // in a row
  bool reached_ = false;       // by the last try
  Duration round_trip_{};      // of the last session, when it was in doubt or lost
  bool paused_ = false;
  Instant next_try_{};  // if it is paused
  io::Timer pause_;     // until the next try
  io::Timer leaving_timer_;
  Expedited expedited_{*this};
};

std::string_view to_string(Supervisor::State state);

}  // namespace tunproxy::ssh
