// DatagramLane: UDP and DNS on an SSH connection of their own, so that a bulk transfer does not
// stand in front of a voice packet; on the shared connection where the server grants no second one.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/config.h"
#include "core/control/status.h"
#include "core/io/loop.h"
#include "core/ssh/pool.h"
#include "core/ssh/supervisor.h"
#include "core/udp/carrier.h"
#include "core/udp/watched_proxy.h"

namespace tunproxy {

/// What `config` says of carriers.
udp::CarrierOptions carrier_options(const Config& config);
/// What the carrier does now, in one line for people: which it is, the kind of its NAT, who
/// resolves names (`resolver`, or the server's own), and what failed and why.
std::string status_line(const udp::Carrier& carrier, const std::optional<Endpoint>& resolver);
/// The same of a SOCKS5 server. REQUIRES: state() != unknown
std::string status_line(const udp::WatchedProxy& socks5);
/// Tells a status line to the user: loudly where nothing is carried.
void tell_status(const std::string& line, bool carried);

class DatagramLane {
 public:
  /// `own` makes the second connection; its login must ask nobody. `resolver` is who resolves
  /// names, if not the server's own. REQUIRES: `shared` outlives it.
  DatagramLane(io::Loop& loop, ssh::Pool& shared, ssh::SupervisorOptions own,
               udp::CarrierOptions carrier, std::optional<Endpoint> resolver);

  /// Connects, then looks for a carrier. REQUIRES: the shared connection is online.
  void start();
  /// The shared connection is up again.
  void shared_online();
  void network_changed() { own_.network_changed(); }
  void set_keepalive(Duration keepalive) { own_.set_keepalive(keepalive); }
  udp::Carrier& carrier() { return carrier_; }
  const udp::Carrier& carrier() const { return carrier_; }
  /// Datagrams are carried now.
  bool carries() const;
  /// Fills in the carrier, and its connection.
  void describe(control::TunnelStatus& status) const;

 private:
  bool shares() const { return own_.state() == ssh::Supervisor::State::failed; }
  void own_state(ssh::Supervisor::State state, const Error* error);
  void tell(udp::Carrier::State state);

  ssh::Pool& shared_;
  ssh::Supervisor own_;
  udp::Carrier carrier_;
  const std::optional<Endpoint> resolver_;
  std::string told_;  // the last status line
};

}  // namespace tunproxy
