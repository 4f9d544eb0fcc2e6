#include "platform/linux/routes.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "core/base/unique_fd.h"
#include "platform/linux/files.h"

namespace tunproxy::linux_host {
namespace {

// Clear of the mark bits that kube-proxy, Calico, Cilium and Tailscale use.
constexpr uint32_t kFirstNumber = 0x2150;
constexpr uint32_t kNumbers = 16;
constexpr uint32_t kTunnelMetric = 1;
constexpr uint32_t kRefuseMetric = 65535;
constexpr uint16_t kDnsPort = 53;
constexpr uint32_t kMostRules = 4;                // of a family
constexpr uint32_t kFirstCommonPriority = 32766;  // of the rule that looks up the main table
const std::string kReversePaths = "net/ipv4/conf/";

const Cidr kAllIpv4{IpAddress(), 0};

Cidr all_ipv6() {
  const uint8_t zeros[16] = {};
  return {IpAddress::v6(zeros), 0};
}

bool is_everything(const Cidr& block) {
  return block.prefix == 0;
}

struct Taken {
  std::vector<Rule> rules;
  std::vector<Route> routes;
};

Result<Taken> look_around(Netlink& netlink) {
  Taken taken;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    auto rules = netlink.rules(family);
    if (!rules) return rules.error();
    auto routes = netlink.routes(family);
    if (!routes) return routes.error();
    taken.rules.insert(taken.rules.end(), rules->begin(), rules->end());
    taken.routes.insert(taken.routes.end(), routes->begin(), routes->end());
  }
  return taken;
}

Result<uint32_t> free_number(const Taken& taken) {
  for (uint32_t number = kFirstNumber; number < kFirstNumber + kNumbers; ++number) {
    const bool in_rule = std::any_of(taken.rules.begin(), taken.rules.end(), [&](const Rule& rule) {
      return rule.table == number || (rule.mark != 0 && (number & rule.mark_mask) == rule.mark);
    });
    const bool in_route = std::any_of(taken.routes.begin(), taken.routes.end(),
                                      [&](const Route& route) { return route.table == number; });
    if (!in_rule && !in_route) return number;
  }
  return Error{ErrorCode::general, "no free firewall mark and routing table for the tunnel"};
}

// Before every rule but the one that looks up the local table (priority 0).
Result<uint32_t> free_priority(const Taken& taken) {
  uint32_t first = kFirstCommonPriority;
  for (const Rule& rule : taken.rules) {
    if (rule.priority != 0) first = std::min(first, rule.priority);
  }
  if (first <= kMostRules) {
    return Error{ErrorCode::general,
                 "no room for the tunnel's routing rules: another rule has priority " +
                     std::to_string(first) + " (see `ip rule`)"};
  }
  return first - kMostRules;
}

bool ipv6_exists() {
  const UniqueFd probe(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return static_cast<bool>(probe) || errno != EAFNOSUPPORT;
}

std::vector<Rule> make_rules(uint32_t number, uint32_t priority, bool everything) {
  std::vector<Rule> rules;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    if (family == Family::ipv6 && !ipv6_exists()) continue;
    Rule ours{.family = family,
              .priority = priority,
              .table = RT_TABLE_MAIN,
              .mark = number,
              .port = kDnsPort};
    Rule names{.family = family, .priority = priority + 1, .table = number, .port = kDnsPort};
    Rule near{
        .family = family, .priority = priority + 2, .table = RT_TABLE_MAIN, .suppress_prefix = 0};
    Rule far{.family = family,
             .priority = priority + 3,
             .table = number,
             .mark = number,
             .unless_marked = true};
    if (everything) rules.insert(rules.end(), {ours, names, near});
    rules.push_back(far);
  }
  return rules;
}

bool family_in_use(const RoutePlan& plan, const Cidr& block) {
  const Family family = block.address.is_v4() ? Family::ipv4 : Family::ipv6;
  return std::any_of(plan.rules.begin(), plan.rules.end(),
                     [&](const Rule& rule) { return rule.family == family; });
}

}  // namespace

Result<void> mark_socket(int fd, uint32_t mark) {
  if (::setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0) return {};
  return error_from_errno(errno, "cannot mark the tunnel's own socket");
}

Result<RoutePlan> plan_routes(Netlink& netlink, std::vector<Cidr> routes,
                              std::vector<Cidr> excludes) {
  auto taken = look_around(netlink);
  if (!taken) return taken.error();
  auto number = free_number(*taken);
  if (!number) return number.error();
  auto priority = free_priority(*taken);
  if (!priority) return priority.error();
  RoutePlan plan;
  plan.number = *number;
  const bool everything =
      routes.empty() || std::any_of(routes.begin(), routes.end(), is_everything);
  plan.rules = make_rules(*number, *priority, everything);
  plan.routes = routes.empty() ? std::vector<Cidr>{kAllIpv4, all_ipv6()} : std::move(routes);
  plan.excludes = std::move(excludes);
  return plan;
}

Result<void> install_routes(Netlink& netlink, const RoutePlan& plan, int tun, bool tun_has_ipv6) {
  for (const Cidr& block : plan.routes) {
    if (!family_in_use(plan, block)) continue;
    const Route refuse{RouteKind::unreachable, block, plan.number, kRefuseMetric, 0};
    if (auto added = netlink.add_route(refuse); !added) return added;
    if (block.address.is_v6() && !tun_has_ipv6) continue;
    const Route route{RouteKind::via_interface, block, plan.number, kTunnelMetric, tun};
    if (auto added = netlink.add_route(route); !added) return added;
  }
  for (const Cidr& block : plan.excludes) {
    if (!family_in_use(plan, block)) continue;
    const Route skip{RouteKind::skip, block, plan.number, 0, 0};
    if (auto added = netlink.add_route(skip); !added) return added;
  }
  for (const Rule& rule : plan.rules) {
    if (auto added = netlink.add_rule(rule); !added) return added;
  }
  return {};
}

Result<void> remove_routes(Netlink& netlink, const std::vector<Rule>& rules, uint32_t table) {
  Result<void> first;
  const auto note = [&](Result<void> result) {
    if (first && !result) first = std::move(result);
  };
  for (const Rule& rule : rules) note(netlink.delete_rule(rule));
  if (table == 0) return first;
  for (const Family family : {Family::ipv4, Family::ipv6}) note(netlink.flush_table(family, table));
  return first;
}

std::vector<Sysctl> plan_reverse_path() {
  std::vector<Sysctl> plan;
  const auto value = [](const std::string& interface) {
    auto text = read_file("/proc/sys/" + kReversePaths + interface + "/rp_filter");
    return text ? text->substr(0, text->find('\n')) : std::string("0");
  };
  const std::string of_all = value("all");
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/sys/" + kReversePaths, ignored)) {
    const std::string interface = entry.path().filename();
    if (interface == "all" || interface == "default" || interface == "lo") continue;
    const std::string own = value(interface);
    // The kernel takes the larger of the two.
    if (std::max(own, of_all) == "1") {
      plan.push_back({kReversePaths + interface + "/rp_filter", own, "2"});
    }
  }
  std::sort(plan.begin(), plan.end(),
            [](const Sysctl& a, const Sysctl& b) { return a.path < b.path; });
  return plan;
}

Result<void> set_sysctls(const std::vector<Sysctl>& sysctls) {
  for (const Sysctl& sysctl : sysctls) {
    if (auto set = write_in_place("/proc/sys/" + sysctl.path, sysctl.during); !set) return set;
  }
  return {};
}

void reset_sysctls(const std::vector<Sysctl>& sysctls) {
  for (const Sysctl& sysctl : sysctls) {
    const std::string path = "/proc/sys/" + sysctl.path;
    auto now = read_file(path);
    // Gone with its interface, or changed by somebody else since: not ours any more.
    if (!now || now->substr(0, now->find('\n')) != sysctl.during) continue;
    static_cast<void>(write_in_place(path, sysctl.before));
  }
}

}  // namespace tunproxy::linux_host
