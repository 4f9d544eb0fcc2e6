#include "platform/linux/netlink.h"

#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include <cstring>

namespace tunproxy::linux_host {
namespace {

constexpr uint8_t kNoLinkLocal = 1;  // IN6_ADDR_GEN_MODE_NONE

uint8_t native(Family family) {
  return family == Family::ipv4 ? AF_INET : AF_INET6;
}
Family family_of(const IpAddress& address) {
  return address.is_v4() ? Family::ipv4 : Family::ipv6;
}

struct MessageDeleter {
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};
using Message = std::unique_ptr<nl_msg, MessageDeleter>;

template <typename Header>
Message make_message(int type, int flags, Header header) {
  Message message(nlmsg_alloc_simple(type, flags));
  nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO);
  return message;
}

void put(const Message& message, int type, Bytes bytes) {
  nla_put(message.get(), type, static_cast<int>(bytes.size()), bytes.data());
}

Error failure(int code, const std::string& doing) {
  const bool forbidden = -code == NLE_PERM || -code == NLE_NOACCESS;
  return {forbidden ? ErrorCode::no_permission : ErrorCode::general,
          doing + ": " + nl_geterror(code)};
}

Result<void> outcome(int code, const std::string& doing) {
  if (code < 0) return failure(code, doing);
  return {};
}

uint8_t native(RouteKind kind) {
  switch (kind) {
    case RouteKind::via_interface:
      return RTN_UNICAST;
    case RouteKind::unreachable:
      return RTN_UNREACHABLE;
    case RouteKind::skip:
      return RTN_THROW;
  }
  return RTN_UNSPEC;
}

Message rule_message(int type, int flags, const Rule& rule) {
  fib_rule_hdr header{};
  header.family = native(rule.family);
  header.action = FR_ACT_TO_TBL;
  header.flags = rule.unless_marked ? FIB_RULE_INVERT : 0;
  Message message = make_message(type, flags, header);
  nla_put_u32(message.get(), FRA_PRIORITY, rule.priority);
  nla_put_u32(message.get(), FRA_TABLE, rule.table);
  if (rule.mark != 0) {
    nla_put_u32(message.get(), FRA_FWMARK, rule.mark);
    nla_put_u32(message.get(), FRA_FWMASK, rule.mark_mask);
  }
  if (rule.port != 0) {
    fib_rule_port_range range{rule.port, rule.port};
    nla_put(message.get(), FRA_DPORT_RANGE, sizeof range, &range);
  }
  if (rule.suppress_prefix >= 0) {
    nla_put_u32(message.get(), FRA_SUPPRESS_PREFIXLEN, static_cast<uint32_t>(rule.suppress_prefix));
  }
  return message;
}

Message route_message(int type, int flags, const Route& route) {
  const bool deleting = type == RTM_DELROUTE;
  rtmsg header{};
  header.rtm_family = native(family_of(route.destination.address));
  header.rtm_dst_len = route.destination.prefix;
  header.rtm_table = RT_TABLE_UNSPEC;
  header.rtm_protocol = deleting ? RTPROT_UNSPEC : RTPROT_STATIC;
  header.rtm_type = native(route.kind);
  header.rtm_scope = deleting                                 ? RT_SCOPE_NOWHERE
                     : route.kind == RouteKind::via_interface ? RT_SCOPE_LINK
                                                              : RT_SCOPE_UNIVERSE;
  Message message = make_message(type, flags, header);
  if (route.destination.prefix > 0) put(message, RTA_DST, route.destination.address.bytes());
  nla_put_u32(message.get(), RTA_TABLE, route.table);
  if (route.metric != 0) nla_put_u32(message.get(), RTA_PRIORITY, route.metric);
  if (route.interface != 0) {
    nla_put_u32(message.get(), RTA_OIF, static_cast<uint32_t>(route.interface));
  }
  return message;
}

IpAddress address_in(nlattr* attribute, uint8_t family) {
  const auto* bytes = static_cast<const uint8_t*>(nla_data(attribute));
  return family == AF_INET ? IpAddress::v4(bytes) : IpAddress::v6(bytes);
}

bool holds_address(nlattr* attribute, uint8_t family) {
  return attribute != nullptr && nla_len(attribute) >= (family == AF_INET ? 4 : 16);
}

IpAddress any_address(uint8_t family) {
  const uint8_t zeros[16] = {};
  return family == AF_INET ? IpAddress::v4(zeros) : IpAddress::v6(zeros);
}

Rule rule_in(nlmsghdr* message) {
  const auto* header = static_cast<const fib_rule_hdr*>(nlmsg_data(message));
  nlattr* at[FRA_MAX + 1] = {};
  nlmsg_parse(message, sizeof *header, at, FRA_MAX, nullptr);
  Rule rule;
  rule.family = header->family == AF_INET ? Family::ipv4 : Family::ipv6;
  rule.unless_marked = (header->flags & FIB_RULE_INVERT) != 0;
  rule.table = at[FRA_TABLE] ? nla_get_u32(at[FRA_TABLE]) : header->table;
  if (at[FRA_PRIORITY]) rule.priority = nla_get_u32(at[FRA_PRIORITY]);
  if (at[FRA_FWMARK]) rule.mark = nla_get_u32(at[FRA_FWMARK]);
  if (at[FRA_FWMASK]) rule.mark_mask = nla_get_u32(at[FRA_FWMASK]);
  if (nlattr* ports = at[FRA_DPORT_RANGE];
      ports != nullptr && nla_len(ports) >= static_cast<int>(sizeof(fib_rule_port_range))) {
    rule.port = static_cast<const fib_rule_port_range*>(nla_data(ports))->start;
  }
  if (at[FRA_SUPPRESS_PREFIXLEN]) {
    rule.suppress_prefix = static_cast<int>(nla_get_u32(at[FRA_SUPPRESS_PREFIXLEN]));
  }
  return rule;
}

Route route_in(nlmsghdr* message) {
  const auto* header = static_cast<const rtmsg*>(nlmsg_data(message));
  nlattr* at[RTA_MAX + 1] = {};
  nlmsg_parse(message, sizeof *header, at, RTA_MAX, nullptr);
  Route route;
  route.kind = header->rtm_type == RTN_THROW         ? RouteKind::skip
               : header->rtm_type == RTN_UNREACHABLE ? RouteKind::unreachable
                                                     : RouteKind::via_interface;
  route.destination = {holds_address(at[RTA_DST], header->rtm_family)
                           ? address_in(at[RTA_DST], header->rtm_family)
                           : any_address(header->rtm_family),
                       header->rtm_dst_len};
  route.table = at[RTA_TABLE] ? nla_get_u32(at[RTA_TABLE]) : header->rtm_table;
  if (at[RTA_PRIORITY]) route.metric = nla_get_u32(at[RTA_PRIORITY]);
  if (at[RTA_OIF]) route.interface = static_cast<int>(nla_get_u32(at[RTA_OIF]));
  return route;
}

int hand_over(nl_msg* message, void* function) {
  (*static_cast<const std::function<void(nlmsghdr*)>*>(function))(nlmsg_hdr(message));
  return NL_OK;
}

}  // namespace

void Netlink::Closer::operator()(nl_sock* socket) const {
  nl_socket_free(socket);
}

Result<Netlink> Netlink::open() {
  Netlink netlink(nl_socket_alloc());
  const int code = nl_connect(netlink.socket_.get(), NETLINK_ROUTE);
  if (code < 0) return failure(code, "cannot talk to the kernel's routing socket");
  return netlink;
}

int Netlink::transact(nl_msg* message) {
  return nl_send_sync(socket_.get(), message);
}

int Netlink::dump(int type, Family family, const std::function<void(nlmsghdr*)>& on_message) {
  // The kernel reads the family from the first byte, whatever header the type has.
  rtmsg header{};
  header.rtm_family = native(family);
  int code = nl_send_simple(socket_.get(), type, NLM_F_DUMP, &header, sizeof header);
  if (code < 0) return code;
  nl_socket_modify_cb(socket_.get(), NL_CB_VALID, NL_CB_CUSTOM, hand_over,
                      const_cast<std::function<void(nlmsghdr*)>*>(&on_message));
  code = nl_recvmsgs_default(socket_.get());
  nl_socket_modify_cb(socket_.get(), NL_CB_VALID, NL_CB_DEFAULT, nullptr, nullptr);
  return code;
}

Result<void> Netlink::bring_up(int interface, uint32_t mtu) {
  ifinfomsg quiet{};
  quiet.ifi_index = interface;
  Message message = make_message(RTM_NEWLINK, NLM_F_ACK, quiet);
  nlattr* families = nla_nest_start(message.get(), IFLA_AF_SPEC);
  nlattr* ipv6 = nla_nest_start(message.get(), AF_INET6);
  nla_put_u8(message.get(), IFLA_INET6_ADDR_GEN_MODE, kNoLinkLocal);
  nla_nest_end(message.get(), ipv6);
  nla_nest_end(message.get(), families);
  transact(message.release());  // fails where IPv6 is disabled, which is as good

  ifinfomsg up = quiet;
  up.ifi_flags = up.ifi_change = IFF_UP;
  message = make_message(RTM_NEWLINK, NLM_F_ACK, up);
  if (mtu != 0) nla_put_u32(message.get(), IFLA_MTU, mtu);
  return outcome(transact(message.release()), "cannot bring the interface up");
}

Result<void> Netlink::add_address(int interface, const IpAddress& address, uint8_t prefix) {
  ifaddrmsg header{};
  header.ifa_family = native(family_of(address));
  header.ifa_prefixlen = prefix;
  header.ifa_flags = address.is_v6() ? IFA_F_NODAD : 0;
  header.ifa_index = static_cast<uint32_t>(interface);
  Message message = make_message(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, header);
  put(message, IFA_LOCAL, address.bytes());
  put(message, IFA_ADDRESS, address.bytes());
  return outcome(transact(message.release()),
                 "cannot give the interface the address " + address.to_string());
}

Result<void> Netlink::add_rule(const Rule& rule) {
  Message message = rule_message(RTM_NEWRULE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, rule);
  return outcome(transact(message.release()), "cannot add a routing rule");
}

Result<void> Netlink::delete_rule(const Rule& rule) {
  const int code = transact(rule_message(RTM_DELRULE, NLM_F_ACK, rule).release());
  if (-code == NLE_OBJ_NOTFOUND || -code == NLE_AF_NOSUPPORT) return {};
  return outcome(code, "cannot delete a routing rule");
}

Result<void> Netlink::add_route(const Route& route) {
  Message message = route_message(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, route);
  return outcome(transact(message.release()),
                 "cannot add the route to " + route.destination.to_string());
}

Result<void> Netlink::flush_table(Family family, uint32_t table) {
  auto all = routes(family);
  if (!all) return all.error();
  Result<void> result;
  for (const Route& route : *all) {
    if (route.table != table) continue;
    const int code = transact(route_message(RTM_DELROUTE, NLM_F_ACK, route).release());
    if (code < 0 && -code != NLE_OBJ_NOTFOUND) result = failure(code, "cannot delete a route");
  }
  return result;
}

Result<std::vector<Rule>> Netlink::rules(Family family) {
  std::vector<Rule> found;
  const int code = dump(RTM_GETRULE, family, [&](nlmsghdr* message) {
    const Rule rule = rule_in(message);
    if (rule.family == family) found.push_back(rule);
  });
  if (code < 0 && -code != NLE_AF_NOSUPPORT && -code != NLE_OPNOTSUPP) {
    return failure(code, "cannot list the routing rules");
  }
  return found;
}

Result<std::vector<Route>> Netlink::routes(Family family) {
  std::vector<Route> found;
  const int code = dump(RTM_GETROUTE, family, [&](nlmsghdr* message) {
    const auto* header = static_cast<const rtmsg*>(nlmsg_data(message));
    const bool cached = (header->rtm_flags & RTM_F_CLONED) != 0;
    if (header->rtm_family == native(family) && !cached) found.push_back(route_in(message));
  });
  if (code < 0 && -code != NLE_AF_NOSUPPORT) return failure(code, "cannot list the routes");
  return found;
}

Result<std::vector<Cidr>> Netlink::addresses() {
  std::vector<Cidr> found;
  const auto collect = [&](nlmsghdr* message) {
    const auto* header = static_cast<const ifaddrmsg*>(nlmsg_data(message));
    nlattr* at[IFA_MAX + 1] = {};
    nlmsg_parse(message, sizeof *header, at, IFA_MAX, nullptr);
    if (header->ifa_family != AF_INET && header->ifa_family != AF_INET6) return;
    if (!holds_address(at[IFA_ADDRESS], header->ifa_family)) return;
    found.push_back({address_in(at[IFA_ADDRESS], header->ifa_family), header->ifa_prefixlen});
  };
  int code = dump(RTM_GETADDR, Family::ipv4, collect);
  if (code >= 0) code = dump(RTM_GETADDR, Family::ipv6, collect);
  if (code < 0 && -code != NLE_AF_NOSUPPORT) return failure(code, "cannot list the addresses");
  return found;
}

}  // namespace tunproxy::linux_host
