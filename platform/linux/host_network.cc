#include "platform/linux/host_network.h"

#include <utility>

#include "core/base/log.h"

namespace tunproxy::linux_host {
namespace {

constexpr uint16_t kSmallestMtu = 576;  // RFC 791; below 1280 the kernel takes IPv6 away

RestoreReport undo(Netlink& netlink, const Journal& journal) {
  RestoreReport report;
  const auto note = [&](const Result<void>& result, std::string what) {
    if (result) return report.restored.push_back(std::move(what));
    report.failed.push_back(what + ": " + result.error().message);
  };
  if (journal.resolv_conf) {
    auto restored = restore_resolv_conf(*journal.resolv_conf);
    if (!restored) {
      note(restored.error(), journal.resolv_conf->path);
    } else if (*restored) {
      note({}, journal.resolv_conf->path);
    }
  }
  if (!journal.links.empty()) note(give_back(journal.links), "systemd-resolved's other links");
  if (journal.table != 0) {
    note(remove_routes(netlink, journal.rules, journal.table),
         "routing rules and table " + std::to_string(journal.table));
  }
  reset_sysctls(journal.sysctls);
  if (!journal.sysctls.empty()) note({}, "reverse path filters");
  return report;
}

Result<RestoreReport> restore(Netlink& netlink, const JournalFile& file) {
  auto journal = file.load();
  if (!journal) return journal.error();
  if (!*journal) return RestoreReport{};
  RestoreReport report = undo(netlink, **journal);
  if (report.failed.empty()) file.clear();
  return report;
}

// Everything of the machine that the tunnel's own networks must not overlap.
Result<std::vector<Cidr>> networks_in_use(Netlink& netlink) {
  auto taken = netlink.addresses();
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    auto routes = netlink.routes(family);
    if (!taken || !routes) return taken ? routes.error() : taken.error();
    for (const Route& route : *routes) taken->push_back(route.destination);
  }
  return taken;
}

}  // namespace

Result<RestoreReport> restore_leftovers() {
  auto file = JournalFile::lock();
  if (!file) return file.error();
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();
  return restore(*netlink, *file);
}

Result<std::unique_ptr<HostNetwork>> HostNetwork::reserve(HostOptions options) {
  if (options.mtu < kSmallestMtu) {
    return Error{ErrorCode::usage, "--mtu must be at least " + std::to_string(kSmallestMtu)};
  }
  auto file = JournalFile::lock();
  if (!file) return file.error();
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();
  std::unique_ptr<HostNetwork> host(
      new HostNetwork(std::move(options), std::move(*file), std::move(*netlink)));
  auto leftovers = restore(host->netlink_, host->file_);
  if (!leftovers) return leftovers.error();
  if (!leftovers->failed.empty()) {
    return Error{ErrorCode::general,
                 "cannot undo what a former tunproxy left behind: " + leftovers->failed.front()};
  }
  host->leftovers_ = std::move(*leftovers);
  if (auto planned = host->plan(); !planned) return planned.error();
  return host;
}

Result<void> HostNetwork::plan() {
  auto name = choose_tun_name(options_.tun_name);
  if (!name) return name.error();
  name_ = std::move(*name);
  auto taken = networks_in_use(netlink_);
  if (!taken) return taken.error();
  auto addresses = choose_addresses(*taken);
  if (!addresses) return addresses.error();
  addresses_ = *addresses;
  auto routes = plan_routes(netlink_, options_.routes, options_.excludes);
  if (!routes) return routes.error();
  routes_ = std::move(*routes);
  return {};
}

io::PrepareSocket HostNetwork::prepare_socket() const {
  return [mark = mark()](int fd) { return mark_socket(fd, mark); };
}

Result<void> HostNetwork::apply() {
  if (options_.names) {
    auto dns = plan_dns();
    if (!dns) return dns.error();
    dns_ = std::move(*dns);
  }
  journal_ = {name_,      routes_.number, routes_.rules, plan_reverse_path(), dns_.resolv_conf,
              dns_.others};
  if (auto saved = file_.save(journal_); !saved) return saved;
  applied_ = true;
  auto placed = put_in_place();
  if (!placed) remove();
  return placed;
}

Result<void> HostNetwork::put_in_place() {
  auto tun = make_tun(netlink_, name_, options_.mtu, addresses_);
  if (!tun) return tun.error();
  tun_ = std::move(*tun);
  if (auto set = set_sysctls(journal_.sysctls); !set) return set;
  auto installed = install_routes(netlink_, routes_, tun_.index, tun_.ipv6);
  if (!installed) return installed;
  return install_dns(dns_, name_, addresses_.resolver);
}

Result<void> HostNetwork::take_away_too(const std::vector<LinkSetting>& others) {
  if (!applied_ || others.empty()) return {};
  for (const LinkSetting& each : others) {
    std::erase_if(journal_.links, [&](const LinkSetting& former) {
      return former.link == each.link && former.kind == each.kind;
    });
    journal_.links.push_back(each);
  }
  if (auto saved = file_.save(journal_); !saved) return saved;
  return take_away(others);
}

RestoreReport HostNetwork::remove() {
  if (!std::exchange(applied_, false)) return {};
  RestoreReport report = undo(netlink_, journal_);
  tun_.fd.reset();
  if (report.failed.empty()) file_.clear();
  for (const std::string& failed : report.failed) log::error("cannot put back {}", failed);
  return report;
}

}  // namespace tunproxy::linux_host
