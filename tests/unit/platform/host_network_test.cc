#include "platform/linux/host_network.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "platform/linux/files.h"
#include "tests/unit/platform/sandbox.h"

namespace tunproxy::linux_host {
namespace {

using testing::machine_state;
using testing::shell;
using testing::shell_status;

constexpr const char* kFar4 = "203.0.113.9";
constexpr const char* kFar6 = "2001:db8:ffff::9";

// The interface by which a packet to `address` leaves, or "refused".
std::string way_to(const std::string& address, uint32_t mark = 0) {
  const bool v4 = address.find(':') == std::string::npos;
  UniqueFd fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0));
  if (mark != 0 && !mark_socket(fd.get(), mark)) return "cannot mark";
  sockaddr_storage to{};
  const unsigned length = Endpoint{*IpAddress::parse(address), 9}.to_sockaddr(&to);
  const int failed = ::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), length) == 0 ? 0 : errno;
  if (failed == EHOSTUNREACH || failed == ENETUNREACH) return "refused";
  if (failed != 0) return std::strerror(failed);
  sockaddr_storage from{};
  socklen_t from_length = sizeof from;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&from), &from_length);
  const std::string own = Endpoint::from(reinterpret_cast<sockaddr*>(&from)).address.to_string();
  if (own == "192.0.2.2" || own == "2001:db8:1::2") return "uplink";
  return own.rfind("198.18.", 0) == 0 || own.rfind("fd74:", 0) == 0 ? "tunnel" : own;
}

std::string error_of(const Result<std::unique_ptr<HostNetwork>>& result) {
  return result ? "" : result.error().message;
}

// A tunproxy that is killed while its tunnel is up.
std::string crash(const HostOptions& options) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto host = HostNetwork::reserve(options);
    if (!host || !(*host)->apply()) ::_exit(1);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? "" : "the process could not apply";
}

TEST(HostNetwork, LeadsEverythingIntoTheTunnelAndBack) {
  SANDBOXED([]() -> std::string {
    const std::string before = machine_state();
    CHECK_THAT(way_to(kFar4) == "uplink" && way_to(kFar6) == "uplink", way_to(kFar4));
    auto host = HostNetwork::reserve({});
    CHECK_THAT(host, error_of(host));
    auto applied = (*host)->apply();
    CHECK_THAT(applied, applied.error().message);
    CHECK_THAT((*host)->tun().name == "tunproxy0" && (*host)->tun().vnet_header);
    CHECK_THAT(way_to(kFar4) == "tunnel", way_to(kFar4));
    CHECK_THAT(way_to(kFar6) == "tunnel", way_to(kFar6));
    CHECK_THAT(way_to(kFar4, (*host)->mark()) == "uplink", way_to(kFar4, (*host)->mark()));
    CHECK_THAT(way_to(kFar6, (*host)->mark()) == "uplink", way_to(kFar6, (*host)->mark()));
    CHECK_THAT(way_to("192.0.2.77") == "uplink", "the network that the machine is in");
    CHECK_THAT(shell("cat /etc/resolv.conf").find("nameserver 198.18.0.2\n") != std::string::npos);
    CHECK_THAT(shell("ip -br addr show tunproxy0").find("198.18.0.1/30 fd74:756e:7072::1/126") !=
                   std::string::npos,
               shell("ip -br addr show tunproxy0"));
    CHECK_THAT((*host)->remove().failed.empty());
    host->reset();
    CHECK_THAT(machine_state() == before, before + "\nAFTER\n" + machine_state());
    return "";
  });
}

TEST(HostNetwork, PutsRulesBeforeAllOthersAndAnUnreachableTwinBehindEachRoute) {
  SANDBOXED([]() -> std::string {
    shell("ip rule add pref 1000 from 10.9.0.0/16 table main");
    auto host = HostNetwork::reserve({});
    CHECK_THAT(host && (*host)->apply(), error_of(host));
    const std::string rules = shell("ip -j rule; ip -j -6 rule");
    const std::string table = std::to_string((*host)->mark());
    for (const char* part :
         {R"("priority":996,"src":"all","fwmark":"0x2150","dport":53,"table":"main")",
          R"("priority":997,"src":"all","dport":53,"table":"8528")",
          R"("priority":998,"src":"all","table":"main","suppress_prefixlen":0)",
          R"("priority":999,"not":null,"src":"all","fwmark":"0x2150")"}) {
      const size_t at = rules.find(part);
      CHECK_THAT(at != std::string::npos && rules.find(part, at + 1) != std::string::npos,
                 std::string(part) + rules);
    }
    for (const char* family : {"-4 ", "-6 "}) {
      const std::string routes = shell("ip " + std::string(family) + "route show table " + table);
      CHECK_THAT(routes.find("default dev tunproxy0") != std::string::npos, routes);
      CHECK_THAT(routes.find("unreachable default") != std::string::npos, routes);
    }
    return "";
  });
}

TEST(HostNetwork, TakesOnlyTheGivenRoutesAndLeavesExcludesOut) {
  SANDBOXED([]() -> std::string {
    const std::string before = machine_state();
    HostOptions options;
    options.routes = {*Cidr::parse("203.0.113.0/24"), *Cidr::parse("2001:db8:ffff::/48")};
    options.excludes = {*Cidr::parse("203.0.113.128/25")};
    options.names = false;
    auto host = HostNetwork::reserve(options);
    CHECK_THAT(host && (*host)->apply(), error_of(host));
    CHECK_THAT(way_to(kFar4) == "tunnel" && way_to(kFar6) == "tunnel");
    CHECK_THAT(way_to("203.0.113.200") == "uplink", way_to("203.0.113.200"));
    CHECK_THAT(way_to("198.51.100.1") == "uplink" && way_to("2001:db8:eeee::1") == "uplink");
    CHECK_THAT(shell("cat /etc/resolv.conf") == "nameserver 192.0.2.53\n");
    host->reset();
    CHECK_THAT(machine_state() == before, machine_state());
    return "";
  });
}

TEST(HostNetwork, RefusesTrafficAfterACrashUntilRestored) {
  SANDBOXED([]() -> std::string {
    const std::string before = machine_state();
    for (const bool by_next_start : {false, true}) {
      const std::string crashed = crash({});
      CHECK_THAT(crashed.empty(), crashed);
      CHECK_THAT(way_to(kFar4) == "refused", way_to(kFar4));
      CHECK_THAT(way_to(kFar6) == "refused", way_to(kFar6));
      CHECK_THAT(machine_state() != before);
      if (by_next_start) {
        auto host = HostNetwork::reserve({});
        CHECK_THAT(host && !(*host)->leftovers().restored.empty(), error_of(host));
      } else {
        auto report = restore_leftovers();
        CHECK_THAT(report && report->restored.size() == 2 && report->failed.empty());
      }
      CHECK_THAT(machine_state() == before, before + "\nAFTER\n" + machine_state());
    }
    auto again = restore_leftovers();
    CHECK_THAT(again && again->restored.empty(), "nothing is left over");
    return "";
  });
}

TEST(HostNetwork, LeavesALiveInstanceAlone) {
  SANDBOXED([]() -> std::string {
    auto host = HostNetwork::reserve({});
    CHECK_THAT(host && (*host)->apply(), error_of(host));
    const std::string up = machine_state();
    auto report = restore_leftovers();
    CHECK_THAT(!report &&
               report.error().message.find(std::to_string(::getpid())) != std::string::npos);
    HostOptions other;
    other.tun_name = "other0";
    CHECK_THAT(!HostNetwork::reserve(other));
    CHECK_THAT(machine_state() == up);
    return "";
  });
}

TEST(HostNetwork, LoosensStrictReversePathsAndRestoresThem) {
  SANDBOXED([]() -> std::string {
    shell("echo 1 > /proc/sys/net/ipv4/conf/uplink/rp_filter");
    const std::string before = machine_state();
    auto host = HostNetwork::reserve({});
    CHECK_THAT(host && (*host)->apply(), error_of(host));
    CHECK_THAT(shell("cat /proc/sys/net/ipv4/conf/uplink/rp_filter") == "2\n");
    host->reset();
    CHECK_THAT(machine_state() == before, machine_state());
    CHECK_THAT(crash({}).empty() && restore_leftovers());
    CHECK_THAT(machine_state() == before, machine_state());
    return "";
  });
}

TEST(HostNetwork, RestoresEveryKindOfResolvConf) {
  SANDBOXED([]() -> std::string {
    for (const char* kind :
         {"echo nameserver 192.0.2.1 > /run/real; ln -s ../run/real /etc/resolv.conf",
          "ln -s /run/nowhere /etc/resolv.conf", "true",
          "echo nameserver 192.0.2.1 > /etc/resolv.conf; chmod 0640 /etc/resolv.conf; "
          "chown 7:8 /etc/resolv.conf",
          "echo nameserver 192.0.2.1 > /run/real; touch /etc/resolv.conf; "
          "mount --bind /run/real /etc/resolv.conf"}) {
      shell(std::string("rm -f /etc/resolv.conf /run/real; ") + kind);
      const std::string before = machine_state();
      CHECK_THAT(crash({}).empty(), kind);
      CHECK_THAT(shell("cat /etc/resolv.conf").find("198.18.0.2") != std::string::npos, kind);
      CHECK_THAT(restore_leftovers(), kind);
      CHECK_THAT(machine_state() == before, before + "\nAFTER\n" + machine_state());
    }
    return "";
  });
}

TEST(HostNetwork, LeavesAResolvConfThatSomebodyElseWroteMeanwhile) {
  SANDBOXED([]() -> std::string {
    auto host = HostNetwork::reserve({});
    CHECK_THAT(host && (*host)->apply(), error_of(host));
    shell("echo nameserver 192.0.2.99 > /etc/resolv.conf");
    CHECK_THAT((*host)->remove().failed.empty());
    CHECK_THAT(shell("cat /etc/resolv.conf") == "nameserver 192.0.2.99\n");
    return "";
  });
}

TEST(HostNetwork, DoesNotLeakIpv6WhereItIsDisabled) {
  SANDBOXED([]() -> std::string {
    shell("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    auto host = HostNetwork::reserve({});
    CHECK_THAT(host && (*host)->apply(), error_of(host));
    CHECK_THAT(!(*host)->tun().ipv6 && way_to(kFar4) == "tunnel");
    CHECK_THAT(way_to(kFar6) == "refused", way_to(kFar6));
    return "";
  });
}

TEST(HostNetwork, ChoosesAddressesNumbersAndNamesThatAreFree) {
  SANDBOXED([]() -> std::string {
    shell(
        "ip addr add 198.18.0.9/24 dev uplink; ip rule add fwmark 0x2150 table 7; "
        "ip link add tunproxy0 type bridge");
    auto host = HostNetwork::reserve({});
    CHECK_THAT(host && (*host)->apply(), error_of(host));
    CHECK_THAT((*host)->tun().name == "tunproxy1" && (*host)->mark() == 0x2151);
    CHECK_THAT((*host)->resolver().to_string() == "198.18.1.2", (*host)->resolver().to_string());
    return "";
  });
}

TEST(HostNetwork, SaysWhatIsWrong) {
  SANDBOXED([]() -> std::string {
    HostOptions options;
    options.tun_name = "uplink";
    auto busy = HostNetwork::reserve(options);
    CHECK_THAT(!busy && busy.error().code == ErrorCode::usage, error_of(busy));
    options.tun_name = "no/slash";
    CHECK_THAT(!HostNetwork::reserve(options));
    shell("rm /dev/net/tun");
    const std::string before = machine_state();
    auto host = HostNetwork::reserve({});
    CHECK_THAT(host, error_of(host));
    auto applied = (*host)->apply();
    CHECK_THAT(!applied && applied.error().code == ErrorCode::no_permission);
    CHECK_THAT(applied.error().message.find("/dev/net/tun is missing") == 0);
    host->reset();
    CHECK_THAT(machine_state() == before, "a failed apply() leaves nothing: " + machine_state());
    CHECK_THAT(::seteuid(65534) == 0);
    auto forbidden = HostNetwork::reserve({});
    CHECK_THAT(!forbidden && forbidden.error().code == ErrorCode::no_permission);
    return "";
  });
}

}  // namespace
}  // namespace tunproxy::linux_host
