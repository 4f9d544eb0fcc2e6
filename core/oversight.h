// Oversight: the rules of a tunnel, the account of its flows, and whom it tells of them.
#pragma once

#include <memory>
#include <optional>

#include "core/account/access_log.h"
#include "core/account/account.h"
#include "core/config.h"
#include "core/control/control_server.h"
#include "core/control/status.h"
#include "core/gate/gatekeeper.h"
#include "core/io/direct_datagrams.h"
#include "core/io/direct_proxy.h"
#include "core/io/loop.h"
#include "core/way_out.h"

namespace tunproxy {

/// Lives in one loop thread, and outlives all flows.
class Oversight {
 public:
  /// `platform` prepares sockets that go outside the tunnel. Error usage: rules that are not
  /// understood, or a file or socket that was asked for and cannot be. REQUIRES: `source` outlives
  /// it.
  static Result<std::unique_ptr<Oversight>> create(io::Loop& loop, const Config& config,
                                                   const Platform& platform,
                                                   const control::StatusSource& source);
  Oversight(const Oversight&) = delete;
  Oversight& operator=(const Oversight&) = delete;

  gate::Gatekeeper& keeper() { return keeper_; }
  const account::Account& account() const { return account_; }
  void announce(std::optional<account::Origin> origin) { account_.announce(origin); }

  /// Fills in what the access log lost, and what was dropped outside the tunnel.
  void describe(control::TunnelStatus& status) const;

  /// Reads the rules again and begins the access log's file anew. Flows stay as they are. Where
  /// that fails, what was before stays, and the Error says why.
  Result<void> reload(const RuleSettings& rules);

 private:
  Oversight(io::Loop& loop, io::PrepareSocket prepare);
  Result<void> reload_rules(const RuleSettings& settings);
  Result<void> reopen_log();
  Result<void> open_log(const AccountSettings& settings);
  Result<void> listen(const AccountSettings& settings, bool unasked,
                      const control::StatusSource& source);

  io::Loop& loop_;
  account::Account account_;
  gate::Gatekeeper keeper_;
  io::DirectProxy direct_;
  io::DirectDatagrams direct_datagrams_;
  std::unique_ptr<account::AccessLog> log_;
  std::unique_ptr<control::ControlServer> control_;
  std::unique_ptr<control::MetricsServer> metrics_;
};

}  // namespace tunproxy
