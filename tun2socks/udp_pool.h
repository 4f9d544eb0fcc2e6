// UdpPool: decides which UDP association of a DatagramProxy carries which datagram. Owned by the
// UdpLane; owns no clock, no timer and no packet: those are its Host's.
//
// An association belongs to one local address and port and talks to any number of destinations; the
// answers carry their real sender (endpoint-independent mapping and filtering). When all are taken,
// the least recently used one that is quiet goes. When none is quiet, a flow becomes the guest of
// one that belongs to another local port, if none of those on it talks to the same destination.
//
//   (no association) --datagram--> opening --done--> open --lost, evicted, idle--> closed
//                                     └------failed, too late, evicted------------->
//
// After one that failed no other is opened for a moment; nor after one that was lost as soon as it
// was open. One that is lost later says nothing about others.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <unordered_map>

#include "core/net/datagram_proxy.h"
#include "tun2socks/engine_options.h"
#include "tun2socks/flow_key.h"
#include "tun2socks/retry_pause.h"
#include "tun2socks/stats.h"
#include "tun2socks/udp_peers.h"

namespace tunproxy::tun2socks {

class UdpPool {
 public:
  /// An association with no traffic for this long may be evicted.
  static constexpr Duration kQuiet = 5s;
  static constexpr Duration kOpenTimeout = 10s;
  /// An association that is lost so soon after it opened counts as one that failed.
  static constexpr Duration kShortLived = 1s;
  /// While an association opens, the oldest of more datagrams or bytes are dropped. There is no
  /// bound of age: the first datagrams of a flow are its handshake, and one that comes late costs
  /// the application less than one that does not come.
  static constexpr size_t kMaxWaiting = 64;
  static constexpr size_t kMaxWaitingBytes = size_t{66} * 1024;
  /// Of all associations together, what is kept beside the payload included.
  static constexpr size_t kMaxAllWaitingBytes = size_t{384} * 1024;
  static constexpr size_t kMaxPayload = 65507;

  class Host {
   public:
    virtual ~Host() = default;
    virtual Instant now() const = 0;
    /// A datagram came. `payload` is valid during the call. False: it was dropped (and counted).
    virtual bool deliver(const Endpoint& from, const Endpoint& local, Bytes payload) = 0;
    /// A datagram that was taken cannot be sent after all; not_allowed: rules forbid it.
    virtual void refuse(const Endpoint& local, const Endpoint& remote, Bytes payload,
                        ErrorCode why) = 0;
    /// Associations came or went: sweep() and next_wake() are due soon, from the loop, outside all
    /// calls of the pool and of the proxy.
    virtual void changed() = 0;
  };
  enum class Outcome {
    taken,
    dropped,     ///< and counted
    refused,     ///< the sender is to be told that the port is unreachable
    prohibited,  ///< the sender is to be told that rules forbid it
  };

  /// The proxy, the host and the stats outlive the pool.
  UdpPool(net::DatagramProxy& proxy, Host& host, const EngineOptions& options, EngineStats& stats);
  UdpPool(const UdpPool&) = delete;
  UdpPool& operator=(const UdpPool&) = delete;

  Outcome send(const FlowKey& flow, Bytes payload);

  /// When tick() is due; nullopt: never, there is no association.
  std::optional<Instant> next_wake() const;
  /// Ends what is idle, or opens for too long.
  void tick();
  /// Ends what nothing moved in for `idle`.
  void reap(Duration idle);
  /// Destroys what was closed since the last time.
  void sweep() { closed_.clear(); }
  size_t size() const { return associations_.size(); }

 private:
  enum class State : uint8_t { opening, open, closed };
  struct Waiting {
    FlowKey flow;
    ByteVector payload;

    size_t cost() const { return payload.size() + sizeof(Waiting) + 2 * sizeof(void*); }
  };
  struct Association {
    explicit Association(const Endpoint& owner, Instant now)
        : local(owner), last_used(now), since(now) {}

    Endpoint local;
    State state = State::opening;
    uint16_t guests = 0;  // flows in `peers` that are not of `local`
    Instant last_used;
    Instant since;  // it is in its state

    Instant deadline() const { return since + kOpenTimeout; }  // of opening
    UdpPeers peers;
    std::list<Waiting> waiting;
    size_t waiting_bytes = 0;
    std::list<Association>::iterator self;
    std::unique_ptr<net::Attempt> attempt;
    std::unique_ptr<net::DatagramSession> session;
  };
  using Found = std::pair<Association*, Outcome>;  // the outcome if there is none

  Found route(const FlowKey& flow, Instant now);
  Found open(const FlowKey& flow, Instant now);
  Found share(const FlowKey& flow, Instant now);
  Association* best_to_share(const FlowKey& flow);
  bool has_room(Instant now) const;
  void note_peer(Association& association, const Endpoint& remote, Instant now);
  void forget_old_peers(Association& association, Instant now);
  void wait(Association& association, const FlowKey& flow, Bytes payload);
  void drop_oldest(Association& association);
  void refuse(const Waiting& datagram, ErrorCode why);
  void use(Association& association, Instant now);

  void on_opened(Association& association, Result<std::unique_ptr<net::DatagramSession>> session);
  void on_datagram(Association& association, const Endpoint& from, Bytes payload);
  void on_closed(Association& association);
  void fail(Association& association, Instant now);
  void close(Association& association);
  void set_state(Association& association, State next);

  net::DatagramProxy& proxy_;
  Host& host_;
  size_t most_;
  Duration idle_;
  FlowWatcher* watcher_;
  EngineStats& stats_;
  std::list<Association> associations_;  // the most recently used first
  std::list<Association> closed_;        // still on the call stack, maybe
  std::unordered_map<Endpoint, Association*> locals_;
  std::unordered_map<FlowKey, Association*, FlowKeyHash> guests_;
  size_t waiting_bytes_ = 0;
  RetryPause pause_;
  Instant forgotten_at_{};
};

}  // namespace tunproxy::tun2socks
