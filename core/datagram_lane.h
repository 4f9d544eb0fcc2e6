// DatagramLane: UDP and DNS on an SSH connection of their own, so that a bulk transfer does not
// stand in front of a voice packet; on the shared connection where the server grants no second one.
#pragma once

#include <memory>

#include "core/base/time.h"
#include "core/config.h"
#include "core/control/status.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/ssh/pool.h"
#include "core/ssh/supervisor.h"
#include "core/udp/carrier.h"

namespace tunproxy {

/// What `config` says of carriers.
udp::CarrierOptions carrier_options(const Config& config);

struct LaneOptions {
  Duration patience = 2s;      ///< for the second connection; then the shared one serves
  Duration first_pause = 30s;  ///< before it is tried again; doubles up to:
  Duration longest_pause = 10min;
};

/// Uses the second connection while that answers, and the shared one while it does not:
///
///   nothing ──it is online──► own ◄──it is online again, and after a pause─── shared
///     │  ▲                     │                                               ▲
///     │  └─────none is online──┴──it is lost, or what it leads to is silent────┤
///     └──it takes longer than a moment, or the server refuses it───────────────┘
///
/// Where the login is refused (it may want an answer that only the user can give, anew each time)
/// it is not tried again.
class DatagramLane final : private udp::CarrierWay {
 public:
  /// `own` makes the second connection; its login must ask nobody. REQUIRES: `shared` outlives it.
  DatagramLane(io::Loop& loop, ssh::Pool& shared, ssh::SupervisorOptions own,
               udp::CarrierOptions carrier, LaneOptions options = {});

  /// Connects, then looks for a carrier. REQUIRES: the shared connection is online.
  void start();
  /// The state of the shared connection is another.
  void shared_changed() { choose(); }
  void network_changed();
  void pause();  ///< as Supervisor's: meanwhile the second connection is not tried again
  void wake();
  udp::Carrier& carrier() { return carrier_; }
  const udp::Carrier& carrier() const { return carrier_; }
  /// Datagrams are carried now.
  bool carries() const;
  /// Fills in the carrier, its connection, and what it dropped.
  void describe(control::TunnelStatus& status) const;

 private:
  enum class Via : uint8_t { nothing, shared, own };

  std::unique_ptr<net::Attempt> run(std::string command,
                                    net::Done<std::unique_ptr<net::Stream>> done) override;
  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override;
  bool sound() const override;

  Via best() const;
  bool online(Via via) const;
  void choose();
  void own_state(ssh::Supervisor::State state, const Error* error);
  void own_failed(const Error& error);
  void doubt_own();
  void try_own_later();
  void try_own();

  ssh::Pool& shared_;
  ssh::Supervisor own_;
  const LaneOptions options_;
  Via via_ = Via::nothing;
  bool own_silent_ = false;  // the second connection, or what it leads to
  bool paused_ = false;
  bool due_ = false;  // it is tried again when it wakes
  Duration next_pause_;
  udp::Carrier carrier_;
  io::Timer patience_;  // runs while the second connection is waited for
  io::Timer again_;
};

}  // namespace tunproxy
