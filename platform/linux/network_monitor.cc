#include "platform/linux/network_monitor.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "core/base/log.h"

namespace tunproxy::linux_host {
namespace {

constexpr uint32_t kFlags = IFF_UP | IFF_RUNNING;
constexpr size_t kMostKnown = 4096;  // addresses or routes that are remembered
constexpr uint32_t kGroups =
    RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;

void append(std::vector<uint8_t>& key, const nlattr* attribute) {
  if (attribute == nullptr) return key.push_back(0);
  const auto* bytes = static_cast<const uint8_t*>(nla_data(attribute));
  key.push_back(static_cast<uint8_t>(nla_len(attribute)));
  key.insert(key.end(), bytes, bytes + nla_len(attribute));
}

}  // namespace

Result<std::unique_ptr<NetworkMonitor>> NetworkMonitor::open(io::Loop& loop, std::string own,
                                                             std::function<void()> changed) {
  constexpr const char* kDoing = "cannot listen to changes of the network";
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!socket) return error_from_errno(errno, kDoing);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = kGroups;
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return error_from_errno(errno, kDoing);
  }
  return std::unique_ptr<NetworkMonitor>(
      new NetworkMonitor(loop, std::move(socket), std::move(own), std::move(changed)));
}

NetworkMonitor::NetworkMonitor(io::Loop& loop, UniqueFd socket, std::string own,
                               std::function<void()> changed)
    : socket_(std::move(socket)),
      own_(std::move(own)),
      own_index_(static_cast<int>(::if_nametoindex(own_.c_str()))),
      together_(loop, std::move(changed)),
      watcher_(loop, socket_.get(), [this](auto) { read(); }) {
  watcher_.want(true, false);
}

void NetworkMonitor::read() {
  alignas(nlmsghdr) uint8_t buffer[32 * 1024];
  for (;;) {
    sockaddr_nl from{};
    socklen_t length = sizeof from;
    const ssize_t got = ::recvfrom(socket_.get(), buffer, sizeof buffer, 0,
                                   reinterpret_cast<sockaddr*>(&from), &length);
    if (got < 0 && errno == ENOBUFS) {  // more happened than the socket holds
      if (!together_.active()) together_.start(kTogether);
      continue;
    }
    if (got <= 0) return;
    if (from.nl_pid != 0) continue;  // not the kernel's
    int left = static_cast<int>(got);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer); nlmsg_ok(message, left);
         message = nlmsg_next(message, &left)) {
      on_message(message);
    }
  }
}

void NetworkMonitor::on_message(nlmsghdr* message) {
  bool changed = false;
  switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      changed = link_changed(message);
      break;
    case RTM_NEWADDR:
    case RTM_DELADDR:
      changed = address_changed(message);
      break;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      changed = route_changed(message);
      break;
    default:
      break;
  }
  if (!changed) return;
  log::debug("network: a change (rtnetlink message {})", message->nlmsg_type);
  if (!together_.active()) together_.start(kTogether);
}

bool NetworkMonitor::link_changed(nlmsghdr* message) {
  if (!nlmsg_valid_hdr(message, sizeof(ifinfomsg))) return false;
  const auto* header = static_cast<const ifinfomsg*>(nlmsg_data(message));
  nlattr* at[IFLA_IFNAME + 1] = {};
  nlmsg_parse(message, sizeof *header, at, IFLA_IFNAME, nullptr);
  if (at[IFLA_IFNAME] != nullptr && !own_.empty() && own_ == nla_get_string(at[IFLA_IFNAME])) {
    own_index_ = header->ifi_index;
  }
  if (header->ifi_index == own_index_) return false;
  const uint32_t flags = message->nlmsg_type == RTM_DELLINK ? 0 : header->ifi_flags & kFlags;
  const auto [place, is_new] = links_.try_emplace(header->ifi_index, 0);
  const uint32_t before = std::exchange(place->second, flags);
  if (message->nlmsg_type == RTM_DELLINK) links_.erase(place);
  return before != flags || (is_new && flags == 0);
}

bool NetworkMonitor::address_changed(nlmsghdr* message) {
  if (!nlmsg_valid_hdr(message, sizeof(ifaddrmsg))) return false;
  const auto* header = static_cast<const ifaddrmsg*>(nlmsg_data(message));
  if (static_cast<int>(header->ifa_index) == own_index_) return false;
  const bool there = message->nlmsg_type == RTM_NEWADDR;
  if (there && (header->ifa_flags & IFA_F_TENTATIVE) != 0) return false;  // not usable yet
  nlattr* at[IFA_LOCAL + 1] = {};
  nlmsg_parse(message, sizeof *header, at, IFA_LOCAL, nullptr);
  Key key{header->ifa_family, header->ifa_prefixlen};
  for (unsigned shift = 0; shift < 32; shift += 8) {
    key.push_back(static_cast<uint8_t>(header->ifa_index >> shift));
  }
  append(key, at[IFA_ADDRESS]);
  append(key, at[IFA_LOCAL]);
  return note(addresses_, std::move(key), there);
}

bool NetworkMonitor::route_changed(nlmsghdr* message) {
  if (!nlmsg_valid_hdr(message, sizeof(rtmsg))) return false;
  const auto* header = static_cast<const rtmsg*>(nlmsg_data(message));
  const bool main = header->rtm_table == RT_TABLE_MAIN;
  if (!main || header->rtm_dst_len != 0 || (header->rtm_flags & RTM_F_CLONED) != 0) return false;
  nlattr* at[RTA_PRIORITY + 1] = {};
  nlmsg_parse(message, sizeof *header, at, RTA_PRIORITY, nullptr);
  if (at[RTA_OIF] != nullptr && static_cast<int>(nla_get_u32(at[RTA_OIF])) == own_index_) {
    return false;
  }
  Key key{header->rtm_family, header->rtm_type};
  append(key, at[RTA_OIF]);
  append(key, at[RTA_GATEWAY]);
  append(key, at[RTA_PRIORITY]);
  return note(routes_, std::move(key), message->nlmsg_type == RTM_NEWROUTE);
}

// What was there before we listened is not known, so that its end is always a change.
bool NetworkMonitor::note(std::set<Key>& known, Key key, bool there) {
  if (!there) {
    known.erase(key);
    return true;
  }
  if (known.size() >= kMostKnown) known.clear();
  return known.insert(std::move(key)).second;
}

}  // namespace tunproxy::linux_host
