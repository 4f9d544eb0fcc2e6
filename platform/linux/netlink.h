// Netlink: the requests to the kernel's routing socket that a tunnel needs, one function each.
//
// libnl carries the messages; rules are written by hand, as its rule objects know neither an
// inverted mark nor suppress_prefixlength. Synchronous: every call waits for the kernel's own
// answer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"

struct nl_sock;
struct nl_msg;
struct nlmsghdr;

namespace tunproxy::linux_host {

enum class Family : uint8_t { ipv4 = 4, ipv6 = 6 };

/// A routing policy rule: "all [not] [fwmark MARK] [dport PORT] lookup TABLE [suppress_prefixlength
/// N]".
struct Rule {
  Family family = Family::ipv4;
  uint32_t priority = 0;
  uint32_t table = 0;
  uint32_t mark = 0;  ///< 0: matches whatever the mark
  uint32_t mark_mask = 0xffffffff;
  bool unless_marked = false;
  int suppress_prefix = -1;  ///< ignore routes of this prefix length and shorter; -1: none
  uint16_t port = 0;         ///< the destination's; 0: matches whatever it is

  bool operator==(const Rule&) const = default;
};

enum class RouteKind : uint8_t { via_interface, unreachable, skip };  ///< skip: `throw`

struct Route {
  RouteKind kind = RouteKind::via_interface;
  Cidr destination;
  uint32_t table = 0;
  uint32_t metric = 0;
  int interface = 0;
};

class Netlink {
 public:
  /// In the caller's network namespace, and for good in that one.
  static Result<Netlink> open();

  /// Sets the MTU and brings the interface up, without an IPv6 link-local address of the kernel's
  /// making.
  Result<void> bring_up(int interface, uint32_t mtu);
  Result<void> add_address(int interface, const IpAddress& address, uint8_t prefix);

  Result<void> add_rule(const Rule& rule);
  /// No error if there is no such rule. All members count.
  Result<void> delete_rule(const Rule& rule);
  Result<void> add_route(const Route& route);
  /// Deletes every route of one table.
  Result<void> flush_table(Family family, uint32_t table);

  /// Empty if the kernel has no such family, or no rules of it (see `has_rules`).
  Result<std::vector<Rule>> rules(Family family);
  Result<std::vector<Route>> routes(Family family);
  /// The networks that the interfaces have addresses in (host bits kept).
  Result<std::vector<Cidr>> addresses();

 private:
  struct Closer {
    void operator()(nl_sock* socket) const;
  };
  explicit Netlink(nl_sock* socket) : socket_(socket) {}
  int transact(nl_msg* message);
  int dump(int type, Family family, const std::function<void(nlmsghdr*)>& on_message);

  std::unique_ptr<nl_sock, Closer> socket_;
};

}  // namespace tunproxy::linux_host
