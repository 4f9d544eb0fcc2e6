// Carrier: what carries datagrams through an SSH server: a relay helper that is run there, else a
// udpgw that listens there, or nothing.
#pragma once

#include <array>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/datagram_proxy.h"
#include "core/net/stream.h"
#include "core/udp/named_session.h"
#include "core/udp/relay_bootstrap.h"
#include "core/udp/relay_client.h"
#include "core/udp/udpgw_client.h"

namespace tunproxy::udp {

struct CarrierOptions {
  bool relay = true;  ///< may be used; it is the better one
  bool udpgw = true;
  Target udpgw_at = Target::from_host("127.0.0.1", 7300);  ///< as the server sees it
  Duration probe_timeout = 2s;  ///< for an answer, and as much again for what leads to it
  Duration first_pause = 1s;    ///< before another look; doubles up to:
  Duration longest_pause = 60s;
  UdpgwOptions udpgw_options{};  ///< probe_timeout is the one above
  HelperOptions helper{};        ///< what a relay helper is told
};

/// Tries the ways that it may use, best first, when told that there is a server. When one dies it
/// falls back to the next at once. After growing pauses it looks again for what is better than what
/// it has, but not for what a server cannot be expected to have a minute later.
///
/// Until the first probe() it counts as probing: associations wait.
///
///   off ──probe(), pause──► probing ──the first that answers──► relay, udpgw
///    ▲                       │   ▲                                │
///    └────────none does──────┘   └────────────dies────────────────┘
///   udpgw ──pause, and the helper answers──► relay
class Carrier final : public net::DatagramProxy {
 public:
  enum class State : uint8_t { off, probing, relay, udpgw };
  /// Runs a command at the server, as ssh::Session::run.
  using Run = std::function<std::unique_ptr<net::Attempt>(
      std::string command, net::Done<std::unique_ptr<net::Stream>> done)>;
  /// Connects from the server, as net::Proxy::connect.
  using Connect = std::function<std::unique_ptr<net::Attempt>(
      const Target& target, net::Done<std::unique_ptr<net::Stream>> done)>;

  static constexpr size_t kMaxWaiting = 128;  ///< associations that wait for a probe's outcome

  Carrier(io::Loop& loop, CarrierOptions options, Run run, Connect connect);

  /// There is a server now: looks what it has. Ends what is under way, and the use of what is in
  /// use.
  void probe();
  /// Called after each change to anything but `probing`.
  void on_state(std::function<void(State)> changed) { changed_ = std::move(changed); }

  /// Datagrams to names, over a udpgw, go to what `names` says of them, as if `server` were asked;
  /// else they are dropped. A relay helper resolves names itself. REQUIRES: `names` outlives it
  void resolve_by(net::NameService& names, const Endpoint& server) {
    names_ = std::make_unique<NameCache>(loop_, names, server);
  }

  /// Who carries datagrams at the far end enforces these as well, if it can: a relay helper.
  void enforce(std::vector<rules::FarRule> rules);

  State state() const { return state_; }
  /// What failed, and why, for people; empty if nothing did.
  std::string why_not() const;
  const CarrierOptions& options() const { return options_; }
  /// The helper in use, or nullptr. Shared, as attempts and sessions need it for as long as they
  /// live.
  std::shared_ptr<RelayClient> relay() { return relay_; }

  /// While probing it waits for the outcome; command_not_supported when nothing carries. A session
  /// stays with what it began with, also when a better carrier comes.
  std::unique_ptr<net::Attempt> associate(
      net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
      net::Done<std::unique_ptr<net::DatagramSession>> done) override;

 private:
  class Association;
  enum Index : size_t { kRelay, kUdpgw, kWays };
  struct Way {
    bool wanted = false;
    bool promising = false;  // worth another look
    bool worked = false;     // since probe()
    std::string why;         // it is not in use
  };

  void set_state(State next);
  void look_again();
  void try_from(size_t index);
  void try_relay();
  void try_udpgw();
  void failed(Index index, const Error& why, bool promising);
  void ran(Result<std::unique_ptr<net::Stream>> helper);
  void connected(Result<std::unique_ptr<net::Stream>> stream);
  bool may_come(const Error& error) const;
  void came_up(Index index);
  void died(Index index, const Error& why);
  void settle();
  void settle_waiting();
  void drop();
  std::shared_ptr<net::DatagramProxy> in_use() const;

  io::Loop& loop_;
  const CarrierOptions options_;
  Run run_;
  Connect connect_;
  std::unique_ptr<NameCache> names_;  // nullptr: names are dropped
  std::vector<rules::FarRule> rules_;
  State state_ = State::probing;  // the first probe() is to come
  std::array<Way, kWays> ways_;
  bool asked_ = false;  // probe() was called
  std::function<void(State)> changed_;
  size_t trying_ = kWays;
  std::unique_ptr<net::Attempt> attempt_;  // the way there, then the hello
  // Shared with their associations, which may outlive their use.
  std::shared_ptr<RelayClient> relay_;
  std::shared_ptr<UdpgwClient> udpgw_;
  std::list<Association*> waiting_;
  io::Timer deadline_;
  io::Timer pause_;
  Duration next_pause_;
  Instant up_since_{};
};

}  // namespace tunproxy::udp
