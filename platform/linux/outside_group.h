// OutsideGroup: processes of ours that must reach the network beside the tunnel (a ProxyCommand).
//
// They run in a cgroup of their own (version 2) with a BPF program that gives each socket the
// tunnel's mark when it is made, as `ip vrf exec` does. Names they resolve by what the machine's
// resolv.conf said before the tunnel changed it, in a mount namespace of their own. The kernel
// detaches the program when we die: from then on their new sockets are refused by the tunnel's
// routes like everybody's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/base/unique_fd.h"
#include "core/io/child.h"

namespace tunproxy::linux_host {

class OutsideGroup {
 public:
  /// To be made before the tunnel is in place. Removes empty groups that dead processes of ours
  /// left. Error no_permission: this system cannot do it (why, and what to do instead).
  static Result<std::unique_ptr<OutsideGroup>> create(uint32_t mark);
  /// Kills what is left in the group, and removes it.
  ~OutsideGroup();
  OutsideGroup(const OutsideGroup&) = delete;
  OutsideGroup& operator=(const OutsideGroup&) = delete;

  /// Puts the calling process into the group. It refuses unless sockets then have the mark.
  /// REQUIRES: this outlives its use.
  io::PrepareChild prepare_child() const;

 private:
  OutsideGroup(std::string path, uint32_t mark) : path_(std::move(path)), mark_(mark) {}
  Result<void> open();
  const char* enter() const;

  const std::string path_;
  const uint32_t mark_;
  std::string resolv_conf_;  // content
  UniqueFd directory_;
  UniqueFd processes_;  // its cgroup.procs
  UniqueFd link_;       // what keeps the program attached
};

}  // namespace tunproxy::linux_host
