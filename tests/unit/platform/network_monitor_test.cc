#include "platform/linux/network_monitor.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "tests/unit/platform/sandbox.h"

namespace tunproxy::linux_host {
namespace {

using testing::shell;

// No addresses of the kernel's making, which would come when they like.
constexpr const char* kLinks =
    "ip link add a0 type veth peer name a1; ip link set a0 addrgenmode none; "
    "ip link set a1 addrgenmode none";

/// A monitor, and how often it told of a change.
class Watch {
 public:
  explicit Watch(io::Loop& loop) : loop_(loop) {
    monitor_ = std::move(*NetworkMonitor::open(loop, "tun7", [this] { ++told_; }));
  }

  /// Runs a command; true if it made the monitor tell of a change.
  bool tells(const std::string& command) {
    const int before = told_;
    shell(command);
    wait([&] { return told_ > before; });
    wait([] { return false; }, 3 * NetworkMonitor::kTogether);
    return told_ > before;
  }
  /// The same, and it told once.
  bool tells_once(const std::string& command) {
    const int before = told_;
    return tells(command) && told_ == before + 1;
  }
  /// True if nothing was told for a while.
  bool ignores(const std::string& command) {
    const int before = told_;
    shell(command);
    wait([] { return false; }, 5 * NetworkMonitor::kTogether);
    return told_ == before;
  }

 private:
  template <typename Condition>
  void wait(Condition condition, Duration limit = 20s) {
    const auto end = std::chrono::steady_clock::now() + limit;
    bool late = false;
    io::Timer timer(loop_, [&] { late = true; });
    timer.start(limit);
    while (!condition() && !late && std::chrono::steady_clock::now() < end) loop_.run_once();
  }

  io::Loop& loop_;
  int told_ = 0;
  std::unique_ptr<NetworkMonitor> monitor_;
};

TEST(NetworkMonitorTest, TellsOfLinksAddressesAndDefaultRoutes) {
  SANDBOXED([] {
    shell(kLinks);
    shell("ip link set a1 up");
    io::Loop loop;
    Watch watch(loop);
    CHECK_THAT(watch.tells("ip link set a0 up"));
    CHECK_THAT(watch.tells("ip addr add 192.0.2.2/24 dev a0"));
    CHECK_THAT(watch.tells_once(
        "for n in 3 4 5 6; do echo addr add 192.0.2.$n/32 dev a0; done | ip -batch -"));
    CHECK_THAT(watch.tells("ip -6 addr add 2001:db8::2/64 dev a0 nodad"));
    CHECK_THAT(watch.tells("ip route add default via 192.0.2.1 metric 7"));
    CHECK_THAT(watch.tells("ip route del default via 192.0.2.1 metric 7"));
    CHECK_THAT(watch.tells("ip addr del 192.0.2.2/24 dev a0"));
    CHECK_THAT(watch.tells("ip link set a1 down"), "the carrier");
    CHECK_THAT(watch.tells("ip link del a0"));
    return std::string();
  });
}

TEST(NetworkMonitorTest, IgnoresWhatIsNoChangeAndWhatIsOurs) {
  SANDBOXED([] {
    shell(kLinks);
    shell("ip link set a1 up; ip link set a0 up");
    io::Loop loop;
    Watch watch(loop);
    CHECK_THAT(watch.tells("ip addr add 192.0.2.2/24 dev a0 valid_lft 100 preferred_lft 90"));
    CHECK_THAT(watch.ignores("ip addr change 192.0.2.2/24 dev a0 valid_lft 200 preferred_lft 190"),
               "a lifetime");
    CHECK_THAT(watch.ignores("ip route add 198.51.100.0/24 via 192.0.2.1"), "no default route");
    CHECK_THAT(watch.ignores("ip route add default dev a0 table 8528"), "another table");
    CHECK_THAT(watch.ignores("ip tuntap add tun7 mode tun; ip link set tun7 up; "
                             "ip addr add 198.18.0.1/24 dev tun7; ip link del tun7"),
               "the tunnel's interface");
    return std::string();
  });
}

}  // namespace
}  // namespace tunproxy::linux_host
