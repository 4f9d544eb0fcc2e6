// DatagramLane: UDP and DNS on an SSH connection of their own, so that a bulk transfer does not
// stand in front of a voice packet; on the shared connection where the server grants no second one.
#pragma once

#include <memory>

#include "core/config.h"
#include "core/control/status.h"
#include "core/io/loop.h"
#include "core/ssh/pool.h"
#include "core/ssh/supervisor.h"
#include "core/udp/carrier.h"

namespace tunproxy {

/// What `config` says of carriers.
udp::CarrierOptions carrier_options(const Config& config);

class DatagramLane {
 public:
  /// `own` makes the second connection; its login must ask nobody. REQUIRES: `shared` outlives it.
  DatagramLane(io::Loop& loop, ssh::Pool& shared, ssh::SupervisorOptions own,
               udp::CarrierOptions carrier);

  /// Connects, then looks for a carrier. REQUIRES: the shared connection is online.
  void start();
  /// The shared connection is up again.
  void shared_online();
  void network_changed() { own_.network_changed(); }
  void pause() { own_.pause(); }
  void wake() { own_.wake(); }
  udp::Carrier& carrier() { return carrier_; }
  const udp::Carrier& carrier() const { return carrier_; }
  /// Datagrams are carried now.
  bool carries() const;
  /// Fills in the carrier, and its connection.
  void describe(control::TunnelStatus& status) const;

 private:
  bool shares() const { return own_.state() == ssh::Supervisor::State::failed; }
  void own_state(ssh::Supervisor::State state, const Error* error);

  ssh::Pool& shared_;
  ssh::Supervisor own_;
  udp::Carrier carrier_;
};

}  // namespace tunproxy
