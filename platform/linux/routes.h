// Routes: what catches the machine's traffic, and what lets the tunnel's own connection past it.
//
// As wg-quick does: outer sockets carry a firewall mark; whatever lacks it is looked up in a table
// of our own, whose default route is the TUN. Four rules for each family, in this order and before
// all others:
//     fwmark MARK dport 53 lookup main         the tunnel's own connection, should it go there
//     dport 53 lookup TABLE                    no name is asked of the networks that we are in
//     lookup main suppress_prefixlength 0      networks that the machine is in stay reachable
//     not fwmark MARK lookup TABLE             everything else
// With a list of routes instead of "everything" only the last rule exists, and the table has only
// them. A socket that is bound to another interface (systemd-resolved's, for the name servers of
// that) meets the second rule's `unreachable` (below).
//
// Fail closed: each route has a twin of worse metric that is `unreachable`. A TUN vanishes with its
// process (SIGKILL, crash) and its routes with it; the rules and the twins stay, so that programs
// get "no route to host" instead of a way round, until the next start or `tunproxy --restore` takes
// them away. IPv6 gets rules and twins even where the TUN has no IPv6.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"
#include "platform/linux/netlink.h"

namespace tunproxy::linux_host {

/// Marks `fd` so that the rules let it past. To be called before connect(). Needs CAP_NET_ADMIN.
Result<void> mark_socket(int fd, uint32_t mark);

/// What shall be in place. The number is that of the mark and of the table.
struct RoutePlan {
  uint32_t number = 0;
  std::vector<Rule> rules;  ///< in the order in which to add them
  std::vector<Cidr> routes;
  std::vector<Cidr> excludes;
};

/// Chooses a free number and free priorities, for `routes` (empty: everything). Changes nothing.
Result<RoutePlan> plan_routes(Netlink& netlink, std::vector<Cidr> routes,
                              std::vector<Cidr> excludes);
/// The table first, the rules last: traffic switches over at once. On an Error undo with
/// remove_routes().
Result<void> install_routes(Netlink& netlink, const RoutePlan& plan, int tun, bool tun_has_ipv6);
/// Also of a former process. Goes on after an error; returns the first.
Result<void> remove_routes(Netlink& netlink, const std::vector<Rule>& rules, uint32_t table);

/// A sysctl (path below /proc/sys), its value before and the one it has while the tunnel is up.
struct Sysctl {
  std::string path;
  std::string before;
  std::string during;
  bool operator==(const Sysctl&) const = default;
};

/// Replies to the outer sockets come in unmarked, so that a strict reverse path filter (rp_filter
/// 1) would look for their sender behind the TUN and drop them: such interfaces go to loose (2).
std::vector<Sysctl> plan_reverse_path();
Result<void> set_sysctls(const std::vector<Sysctl>& sysctls);
/// Only where the value is still ours.
void reset_sysctls(const std::vector<Sysctl>& sysctls);

}  // namespace tunproxy::linux_host
