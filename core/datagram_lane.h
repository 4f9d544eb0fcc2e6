// DatagramLane: UDP and DNS on an SSH connection of their own, so that a bulk transfer does not
// stand in front of a voice packet; on the shared connection where the server grants no second one.
#pragma once

#include <memory>
#include <string>

#include "core/config.h"
#include "core/io/loop.h"
#include "core/ssh/supervisor.h"
#include "core/udp/carrier.h"

namespace tunproxy {

/// What `config` says of carriers.
udp::CarrierOptions carrier_options(const Config& config);
/// What the carrier does now, in one line for people: which it is, the kind of its NAT, who
/// resolves names, and what failed and why.
std::string status_line(const udp::Carrier& carrier);

class DatagramLane {
 public:
  /// `own` makes the second connection; its login must ask nobody. REQUIRES: `shared` outlives it.
  DatagramLane(io::Loop& loop, ssh::Supervisor& shared, ssh::SupervisorOptions own,
               udp::CarrierOptions carrier);

  /// Connects, then looks for a carrier. REQUIRES: the shared connection is online.
  void start();
  /// The shared connection is up again.
  void shared_online();
  udp::Carrier& carrier() { return carrier_; }

 private:
  ssh::Supervisor& connection();
  void own_state(ssh::Supervisor::State state, const Error* error);
  void tell(udp::Carrier::State state);

  ssh::Supervisor& shared_;
  ssh::Supervisor own_;
  udp::Carrier carrier_;
  std::string told_;  // the last status line
};

}  // namespace tunproxy
