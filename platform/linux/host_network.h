// HostNetwork: the whole machine's traffic into a TUN, and everything back as it was at the end.
//
// One per network namespace. Order of use: reserve() — connect to the server through
// prepare_socket() — apply() — carry packets — remove(). What it does stands in the journal before
// it is done; after a crash the machine's traffic is refused (see routes.h) until reserve() or
// restore_leftovers() of a later process undoes it. Blocking calls of a few milliseconds; for one
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"
#include "core/base/unique_fd.h"
#include "core/io/tcp.h"
#include "platform/linux/dns_config.h"
#include "platform/linux/journal.h"
#include "platform/linux/netlink.h"
#include "platform/linux/routes.h"
#include "platform/linux/tun_interface.h"

namespace tunproxy::linux_host {

struct HostOptions {
  std::string tun_name;  ///< empty: the first free of tunproxy0, tunproxy1 …
  uint16_t mtu = 1500;
  std::vector<Cidr> routes;    ///< empty: everything, IPv4 and IPv6
  std::vector<Cidr> excludes;  ///< these stay outside
  bool names = true;           ///< make the tunnel's resolver the machine's
};

/// What was undone, one line for people each ("routing rules and table 8528"), and what could not
/// be.
struct RestoreReport {
  std::vector<std::string> restored;
  std::vector<std::string> failed;
};

/// Undoes what a former process of this network namespace left behind; an empty report: nothing was
/// left. Error: a live tunproxy has it in use; no permission; a damaged journal.
Result<RestoreReport> restore_leftovers();

class HostNetwork {
 public:
  /// Takes the machine for this process, undoes leftovers and chooses names, numbers and addresses.
  /// Puts nothing in place. Errors are for people: no_permission (not root), another instance, the
  /// name in use.
  static Result<std::unique_ptr<HostNetwork>> reserve(HostOptions options);
  HostNetwork(const HostNetwork&) = delete;
  HostNetwork& operator=(const HostNetwork&) = delete;
  ~HostNetwork() { remove(); }

  /// For every outer socket, between socket() and connect(): lets it past the tunnel's routes.
  io::PrepareSocket prepare_socket() const;
  uint32_t mark() const { return routes_.number; }

  /// Of the TUN that apply() makes.
  const std::string& tun_name() const { return name_; }

  /// Makes the TUN and leads the traffic into it, from one moment to the next. Undone on an Error.
  Result<void> apply();
  /// Another service of this machine resolves names, and has links of its own.
  bool names_have_links() const { return dns_.resolved; }
  /// ways_beside() the TUN that came since: a link that is new, or was configured anew.
  Result<void> take_away_too(const std::vector<LinkSetting>& others);
  /// The TUN's descriptor; it stays owned here and is open until remove(). The interface goes when
  /// its last duplicate is closed. REQUIRES: apply() succeeded.
  int tun_fd() const { return tun_.fd.get(); }
  const TunInterface& tun() const { return tun_; }  ///< name, MTU, vnet header, addresses
  /// The address that programs ask for names: its port 53 must be answered.
  const IpAddress& resolver() const { return addresses_.resolver; }
  /// What was left over by a crash and undone by reserve().
  const RestoreReport& leftovers() const { return leftovers_; }

  /// Puts everything back. Idempotent. The report says what could not be.
  RestoreReport remove();

 private:
  HostNetwork(HostOptions options, JournalFile file, Netlink netlink)
      : options_(std::move(options)), file_(std::move(file)), netlink_(std::move(netlink)) {}
  Result<void> plan();
  Result<void> put_in_place();

  HostOptions options_;
  JournalFile file_;
  Netlink netlink_;
  RestoreReport leftovers_;
  std::string name_;
  TunAddresses addresses_;
  RoutePlan routes_;
  DnsPlan dns_;
  Journal journal_;
  TunInterface tun_;
  bool applied_ = false;
};

}  // namespace tunproxy::linux_host
