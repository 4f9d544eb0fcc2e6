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
#include "core/udp/client.h"
#include "core/udp/named_session.h"
#include "core/udp/relay_bootstrap.h"
#include "core/udp/relay_client.h"
#include "core/udp/udpgw_client.h"

namespace tunproxy::udp {

struct CarrierOptions {
  bool relay = true;  ///< may be used; it is the better one
  bool udpgw = true;
  Target udpgw_at = Target::from_host("127.0.0.1", 7300);  ///< as the server sees it
  /// For the server to run or to connect, and as much again for the first word; more each time that
  /// it was not enough, as a slow line may need it.
  Duration probe_timeout = 2s;
  Duration head_start = 500ms;  ///< of the relay; then the udpgw is tried beside it
  Duration first_pause = 1s;    ///< before another look; doubles up to:
  Duration longest_pause = 60s;
  RelayOptions relay_options{};  ///< without the program; probe_timeout is the one above
  UdpgwOptions udpgw_options{};  ///< probe_timeout is the one above
  HelperOptions helper{};        ///< what a relay helper is told
};

/// The way to the server, which may lead over one connection now and over another later.
class CarrierWay {
 public:
  CarrierWay() = default;
  CarrierWay(const CarrierWay&) = delete;
  CarrierWay& operator=(const CarrierWay&) = delete;

  /// Runs a command at the server, as ssh::Session::run.
  virtual std::unique_ptr<net::Attempt> run(std::string command,
                                            net::Done<std::unique_ptr<net::Stream>> done) = 0;
  /// Connects from the server, as net::Proxy::connect.
  virtual std::unique_ptr<net::Attempt> connect(const Target& target,
                                                net::Done<std::unique_ptr<net::Stream>> done) = 0;
  /// The server answers, as far as is known: silence is not the connection's.
  virtual bool sound() const = 0;

 protected:
  ~CarrierWay() = default;
};

/// Tries what it may use when told that there is a server, the relay first. When one dies it looks
/// for another at once. After growing pauses it looks again for what is better than what it has,
/// but not for what a server cannot be expected to have a minute later; and for another of the same
/// kind beside one that has fallen silent.
///
///   off ──probe()──► probing ──the best that answers in time──► relay, udpgw
///    ▲ │              │   ▲                                       │   │
///    │ └──a later look finds one─────────────────────────────────►│   │
///    └─────none does──┘   └──────────────dies, suspend()──────────┘   │
///   udpgw ──a later look finds a helper──► relay ◄────────────────────┘
///
/// Associations wait while it probes, and that is so until the first probe(), and in suspend().
class Carrier final : public net::DatagramProxy {
 public:
  enum class State : uint8_t { off, probing, relay, udpgw };

  static constexpr size_t kMaxWaiting = 256;  ///< associations that wait for a probe's outcome

  /// REQUIRES: `way` outlives it
  Carrier(io::Loop& loop, CarrierOptions options, CarrierWay& way);
  ~Carrier() override { forget_all(); }

  /// There is a server now: looks what it has. Ends what is under way, and the use of what is in
  /// use.
  void probe();
  /// There is none now, but will be: what wants to be carried waits for probe().
  void suspend();
  /// There is a better way to the server: looks beside what is in use for what is as good, and
  /// takes that. Sessions stay with what they have, unless that is silent.
  void renew();

  /// Called after each change to anything but `probing`.
  void on_state(std::function<void(State)> changed) { changed_ = std::move(changed); }
  /// Called when what is in use has fallen silent; then it is renewed.
  void on_silent(std::function<void()> silent) { silent_ = std::move(silent); }

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
  std::shared_ptr<RelayClient> relay() const;
  Drops drops() const;

  /// While probing it waits for the outcome; command_not_supported when nothing carries. A session
  /// stays with what it began with, also when a better carrier comes.
  std::unique_ptr<net::Attempt> associate(
      net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
      net::Done<std::unique_ptr<net::DatagramSession>> done) override;

 private:
  class Association;
  enum Index : size_t { kRelay, kUdpgw, kKinds };
  // One kind of carrier.
  struct Kind {
    bool promising = false;                 // worth another look
    bool worked = false;                    // since probe()
    unsigned in_vain = 0;                   // looks that took too long
    std::string why;                        // it is not in use
    std::unique_ptr<net::Attempt> attempt;  // the way there, then the first word
    std::unique_ptr<io::Timer> deadline;    // of the way there
    std::shared_ptr<Client> client;  // shared with its associations, which may outlive its use
    bool trying() const { return attempt != nullptr || deadline->active(); }
  };

  void set_state(State next);
  void look();
  void try_now(Index index);
  void on_deadline(Index index);
  void ran(Result<std::unique_ptr<net::Stream>> helper);
  void connected(Result<std::unique_ptr<net::Stream>> stream);
  void failed(Index index, const Error& why, bool promising);
  bool may_come(const Error& error) const;
  Duration patience(Index index) const;
  void came_up(Index index, std::shared_ptr<Client> client);
  void died(Index index, const Error& why);
  void settle();
  void settle_waiting();
  void look_later();
  bool lacks(Index index) const;
  void forget_all();
  void drop(Index index);
  std::shared_ptr<Client> share(std::unique_ptr<Client> client);
  const std::shared_ptr<Client>& in_use() const;

  io::Loop& loop_;
  const CarrierOptions options_;
  CarrierWay& way_;
  std::unique_ptr<NameCache> names_;  // nullptr: names are dropped
  std::vector<rules::FarRule> rules_;
  State state_ = State::probing;  // the first probe() is to come
  std::array<Kind, kKinds> kinds_;
  bool asked_ = false;     // probe() was called
  bool renewing_ = false;  // looks beside what is in use
  std::function<void(State)> changed_;
  std::function<void()> silent_;
  std::vector<std::weak_ptr<Client>> living_;  // also those that only sessions hold
  std::shared_ptr<Drops> past_;                // of clients that are gone
  std::list<Association*> waiting_;
  io::Timer head_start_;
  io::Timer hurry_;  // while it runs, a udpgw that came first waits for the relay's outcome
  io::Timer pause_;
  Duration next_pause_;
  Instant up_since_{};
};

}  // namespace tunproxy::udp
