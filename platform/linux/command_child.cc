// In the order in which the child calls them.
#include "platform/linux/command_child.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "platform/linux/files.h"
#include "platform/linux/netlink.h"
#include "platform/linux/private_names.h"

namespace tunproxy::linux_host {
namespace {

constexpr const char* kInterface = "tun0";
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;
constexpr int kLoopback = 1;  // the first interface of every network namespace
constexpr uint32_t kMainTable = 254;

// Handlers of the parent must not run here; what it ignores (nohup) stays ignored, but for SIGPIPE,
// which programs expect to be as it always was.
void reset_signals() {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) != 0) continue;
    const bool ignored = action.sa_handler == SIG_IGN && number != SIGPIPE;
    if (!ignored && action.sa_handler != SIG_DFL) std::signal(number, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

void end_with(pid_t parent, int signal_number) {
  ::prctl(PR_SET_PDEATHSIG, signal_number);
  if (::getppid() != parent) ::_exit(1);
}

bool sysctl_is(const char* path, const char* value) {
  auto text = read_file(path);
  return text && text->substr(0, text->find('\n')) == value;
}

Error no_namespaces(int error_number) {
  std::string why = "this system does not let users make network namespaces";
  if (sysctl_is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")) {
    why += " (kernel.apparmor_restrict_unprivileged_userns=1)";
  } else if (sysctl_is("/proc/sys/kernel/unprivileged_userns_clone", "0")) {
    why += " (kernel.unprivileged_userns_clone=0)";
  } else if (sysctl_is("/proc/sys/user/max_user_namespaces", "0")) {
    why += " (user.max_user_namespaces=0)";
  } else {
    why += std::string(" (") + std::strerror(error_number) + ")";
  }
  return {ErrorCode::no_permission,
          why + ": run as root (sudo), or use --no-tun --socks 127.0.0.1:1080"};
}

// Only the caller's own ids exist in the new user namespace.
Result<void> map_ids(uid_t user, gid_t group) {
  const std::string uid = std::to_string(user);
  const std::string gid = std::to_string(group);
  static_cast<void>(write_in_place("/proc/self/setgroups", "deny"));
  if (!write_in_place("/proc/self/uid_map", uid + " " + uid + " 1\n") ||
      !write_in_place("/proc/self/gid_map", gid + " " + gid + " 1\n")) {
    return no_namespaces(errno);
  }
  return {};
}

Result<void> enter_namespaces() {
  const uid_t user = ::geteuid();
  const gid_t group = ::getegid();
  if (user == 0 && ::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0) return {};
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0) return no_namespaces(errno);
  return map_ids(user, group);
}

// A fresh network namespace allows nobody to ping. No matter if this fails.
void allow_ping() {
  const std::string gid = std::to_string(::getegid());
  static_cast<void>(write_in_place("/proc/sys/net/ipv4/ping_group_range", gid + " " + gid));
}

Result<TunInterface> make_network(uint16_t mtu) {
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();
  if (auto up = netlink->bring_up(kLoopback, 0); !up) {
    return up.error().code == ErrorCode::no_permission ? no_namespaces(EPERM) : up.error();
  }
  auto addresses = choose_addresses({});
  if (!addresses) return addresses.error();
  auto tun = make_tun(*netlink, kInterface, mtu, *addresses);
  if (!tun) return tun;
  const uint8_t zeros[16] = {};
  const Route ipv4{RouteKind::via_interface, {IpAddress::v4(zeros), 0}, kMainTable, 0, tun->index};
  const Route ipv6{RouteKind::via_interface, {IpAddress::v6(zeros), 0}, kMainTable, 1, tun->index};
  if (auto added = netlink->add_route(ipv4); !added) return added.error();
  if (tun->ipv6) {
    if (auto added = netlink->add_route(ipv6); !added) return added.error();
  }
  allow_ping();
  return tun;
}

Result<TunInterface> set_up(pid_t parent, const CommandOptions& options) {
  if (auto entered = enter_namespaces(); !entered) return entered.error();
  end_with(parent, SIGKILL);  // entering a user namespace forgets it
  auto tun = make_network(options.mtu);
  if (!tun) return tun;
  if (auto named = install_private_names(tun->addresses.resolver); !named) return named.error();
  return tun;
}

ChildReport report_of(const Result<TunInterface>& tun) {
  ChildReport report;
  report.ok = tun.has_value();
  if (tun) {
    report.vnet_header = tun->vnet_header;
    report.ipv6 = tun->ipv6;
  } else {
    report.code = tun.error().code;
    std::snprintf(report.message, sizeof report.message, "%s", tun.error().message.c_str());
  }
  return report;
}

bool send_report(int channel, const ChildReport& report, int tun) {
  iovec data{const_cast<ChildReport*>(&report), sizeof report};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof tun)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (report.ok) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* attached = CMSG_FIRSTHDR(&message);
    attached->cmsg_level = SOL_SOCKET;
    attached->cmsg_type = SCM_RIGHTS;
    attached->cmsg_len = CMSG_LEN(sizeof tun);
    std::memcpy(CMSG_DATA(attached), &tun, sizeof tun);
  }
  return ::sendmsg(channel, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof report);
}

bool told_to_start(int channel) {
  char go = 0;
  ssize_t n = -1;
  do {
    n = ::recv(channel, &go, 1, 0);
  } while (n < 0 && errno == EINTR);
  return n == 1;
}

[[noreturn]] void become(const std::vector<std::string>& argv) {
  std::vector<char*> pointers;
  for (const std::string& argument : argv) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  ::execvp(pointers[0], pointers.data());
  const int failed = errno;
  ::dprintf(STDERR_FILENO, "tunproxy: cannot run %s: %s\n", pointers[0], std::strerror(failed));
  ::_exit(failed == ENOENT || failed == ENOTDIR ? kNotFound : kNotExecutable);
}

}  // namespace

void run_child(int channel, pid_t parent, const CommandOptions& options) {
  reset_signals();
  end_with(parent, SIGKILL);
  auto tun = set_up(parent, options);
  if (!send_report(channel, report_of(tun), tun ? tun->fd.get() : -1) || !tun) ::_exit(1);
  tun->fd.reset();
  if (!told_to_start(channel)) ::_exit(1);
  end_with(parent, SIGHUP);
  become(options.argv);
}

}  // namespace tunproxy::linux_host
