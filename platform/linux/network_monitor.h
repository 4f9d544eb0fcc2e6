// NetworkMonitor: tells when the machine's network has changed: addresses, links, default routes.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/base/unique_fd.h"
#include "core/io/fd_watcher.h"
#include "core/io/loop.h"
#include "core/io/timer.h"

namespace tunproxy::linux_host {

/// Listens to the kernel's routing socket (rtnetlink). What only repeats what is known (renewed
/// lifetimes, a radio's reports) is no change, nor is anything of the tunnel's own interface or of
/// other routing tables than the main one. Lives in the loop's thread; needs no permission.
class NetworkMonitor {
 public:
  /// Changes come in bursts, which are told once, this long after their beginning.
  static constexpr Duration kTogether = 100ms;

  /// In the caller's network namespace, and for good in that one. `own`: the name of an interface
  /// to ignore, which need not exist yet; may be empty. `changed` is called from the loop.
  static Result<std::unique_ptr<NetworkMonitor>> open(io::Loop& loop, std::string own,
                                                      std::function<void()> changed);
  NetworkMonitor(const NetworkMonitor&) = delete;
  NetworkMonitor& operator=(const NetworkMonitor&) = delete;

 private:
  NetworkMonitor(io::Loop& loop, UniqueFd socket, std::string own, std::function<void()> changed);
  void read();
  void on_message(nlmsghdr* message);
  bool link_changed(nlmsghdr* message);
  bool address_changed(nlmsghdr* message);
  bool route_changed(nlmsghdr* message);

  using Key = std::vector<uint8_t>;  // what makes an address or a route what it is
  bool note(std::set<Key>& known, Key key, bool there);

  UniqueFd socket_;
  const std::string own_;
  int own_index_ = 0;
  std::map<int, uint32_t> links_;  // the flags that count
  std::set<Key> addresses_;
  std::set<Key> routes_;
  io::Timer together_;
  io::FdWatcher watcher_;
};

}  // namespace tunproxy::linux_host
