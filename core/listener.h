// Listener: the SOCKS and HTTP CONNECT server of a tunnel: its users, its limits, its TLS, and
// which way out each client has.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/config.h"
#include "core/control/status.h"
#include "core/dns/fake_table.h"
#include "core/gate/gatekeeper.h"
#include "core/gated_way.h"
#include "core/io/loop.h"
#include "core/socks5/server.h"
#include "core/tls/context.h"
#include "core/way_out.h"

namespace tunproxy {

/// Lives in one loop thread.
class Listener {
 public:
  /// What the clients' flows go through; all outlives the listener.
  struct Through {
    gate::Gatekeeper& keeper;
    WayOut& out;
    dns::FakeTable* fakes;  ///< nullptr without --dns fake
  };

  /// Error usage: a password file or a certificate that cannot be used, or an address that others
  /// reach without a password. REQUIRES: `settings` outlives it.
  static Result<std::unique_ptr<Listener>> open(io::Loop& loop, const Endpoint& at,
                                                const ListenerSettings& settings, Through through);

  /// Reads the users and the certificates again, for those who come from now on. An Error says
  /// what is wrong with each that is bad; all stays as it was then.
  Result<void> reload();
  /// Memory is short: ends UDP associations in which nothing moved for some seconds.
  void drop_quiet_udp();
  Endpoint local() const { return server_->local(); }
  void describe(control::TunnelStatus& status) const;

 private:
  Listener(const ListenerSettings& settings, const Through& through)
      : settings_(settings), through_(through) {}
  Result<socks5::WayOut> choose(const socks5::ClientIdentity& client);
  bool may_use_udp(const socks5::ClientIdentity& client) const;
  GatedWay& way_of(const std::string& user);

  const ListenerSettings& settings_;
  const Through through_;
  std::map<std::string, std::unique_ptr<GatedWay>> ways_;  // by user
  std::shared_ptr<tls::ServerContext> certificates_;       // of the next client; nullptr: no TLS
  std::unique_ptr<socks5::Server> server_;
};

}  // namespace tunproxy
