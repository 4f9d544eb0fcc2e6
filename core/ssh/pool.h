// Pool: a Proxy over several connections to one SSH server, so that many flows are faster than one
// TCP connection, and one that dies takes only its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/proxy.h"
#include "core/ssh/supervisor.h"

namespace tunproxy::ssh {

struct PoolOptions {
  SupervisorOptions session;  ///< of the first, which is there as long as the pool is
  /// Makes the logins of all others. They must ask nobody: with what the first one was told.
  /// Empty: there are no others.
  std::function<Result<std::unique_ptr<Login>>()> make_quiet_login;
  size_t sessions = 4;        ///< at most
  Duration idle = 5min;       ///< a session without flows, or too much, is closed after that
  Duration refused = 10min;   ///< after which a server is asked for more that refused
  Duration unanswered = 30s;  ///< the same if it did not refuse, but was not reached
};

/// Lives in one loop thread. It begins with one session and adds one at a time: when there are more
/// than kFlowsEach flows for each, or all of them carry much. A flow goes to the session that
/// carries least and answers. The first session reconnects and is renewed (see Supervisor); the
/// others are made anew when they are wanted. Flows that a lost session had not opened yet go to
/// another.
class Pool final : public net::Proxy {
 public:
  using State = Supervisor::State;
  using StreamDone = Supervisor::StreamDone;
  static constexpr size_t kFlowsEach = 3;
  static constexpr uint64_t kMuch = 256 * 1024;  ///< bytes a second

  struct SessionStatus : Supervisor::Status {
    uint64_t id = 0;  ///< from 1; no other session of the pool has or had it
  };
  /// The sums count sessions that are gone, too.
  struct Status {
    State state = State::idle;
    std::string reason;  ///< why it is not online; may be empty
    std::vector<SessionStatus> sessions;
    size_t channels = 0;
    uint64_t received = 0;
    uint64_t sent = 0;
    uint64_t logins = 0;
    uint64_t losses = 0;
    uint64_t reconnects = 0;  ///< how often the pool came online again
  };

  Pool(io::Loop& loop, PoolOptions options);
  ~Pool() override;

  /// As Supervisor's.
  void start(net::Done<void> done);
  void stop();
  /// Some session answers, as far as is known.
  bool sound() const;
  /// Online as long as one session is. The callback as Supervisor's.
  State state() const { return state_; }
  void on_state(std::function<void(State, const Error*)> changed) { changed_ = std::move(changed); }
  const std::vector<Endpoint>& addresses() const;
  void network_changed();
  void pause();
  void wake();

  std::unique_ptr<net::Attempt> connect(const Target& target, StreamDone done) override;
  std::unique_ptr<net::Attempt> bind(const net::Expected& expected, net::OnBound on_bound,
                                     net::Done<net::Accepted> done) override;
  net::Proxy& expedited() { return expedited_; }
  std::unique_ptr<net::Attempt> run(std::string command, StreamDone done);
  std::unique_ptr<net::Attempt> exec(std::string command, net::Done<ExecResult> done);

  Status status() const;

 private:
  struct Member {
    Member(io::Loop& loop, SupervisorOptions options, uint64_t number)
        : id(number), supervisor(loop, std::move(options)) {}

    const uint64_t id;
    Supervisor supervisor;
    uint64_t carried = 0;  // bytes, when last looked at
    uint64_t rate = 0;     // bytes a second
    Instant used_at{};     // when it was last seen with flows
  };
  class Expedited final : public net::Proxy {
   public:
    explicit Expedited(Pool& pool) : pool_(pool) {}
    std::unique_ptr<net::Attempt> connect(const Target& target, StreamDone done) override;

   private:
    Pool& pool_;
  };

  Supervisor& first() const { return members_.front()->supervisor; }
  Supervisor& choose();
  Supervisor& lightest();
  bool surplus(const Member& member) const;
  void tick_soon();
  void tick();
  uint64_t measure(Member& member, Duration since) const;
  void consider();
  size_t wanted() const;
  void grow();
  void grown(Result<void> outcome);
  void shrink();
  void sweep();
  void update_state(const Error* error);
  void retire(std::unique_ptr<Member> member);

  io::Loop& loop_;
  const PoolOptions options_;
  State state_ = State::idle;
  std::function<void(State, const Error*)> changed_;
  std::vector<std::unique_ptr<Member>> members_;  // the first one, and those that are online
  std::unique_ptr<Member> coming_;                // logs in
  uint64_t last_id_ = 0;
  Instant grow_at_{};
  bool paused_ = false;
  std::optional<Instant> surplus_since_;  // there has been one more than is wanted
  Supervisor::Counters past_;             // of members that are gone
  uint64_t online_times_ = 0;
  Duration pace_{};  // of the ticks
  Instant ticked_{};
  io::Timer tick_;
  io::Task sweep_;
  Expedited expedited_{*this};
};

}  // namespace tunproxy::ssh
