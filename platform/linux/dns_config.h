// DNS configuration of the machine: names go to the tunnel's resolver while the tunnel is up.
//
// resolv.conf is replaced unless it already leads to systemd-resolved's stub; where that runs, it
// is told as well (resolved.h).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"
#include "platform/linux/resolved.h"

namespace tunproxy::linux_host {

inline constexpr const char* kResolvConf = "/etc/resolv.conf";

/// Our content of resolv.conf, recognizable as such.
std::string resolv_conf_for(const IpAddress& resolver);
bool is_our_resolv_conf(const std::string& content);
/// Every nameserver is systemd-resolved's stub on this machine.
bool leads_to_stub(const std::string& content);

/// What a path was before we replaced it.
struct FileBackup {
  enum class Kind : uint8_t { missing, file, symlink };
  std::string path;
  Kind kind = Kind::missing;
  std::string content;  ///< of a symlink: its target
  mode_t mode = 0644;
  uid_t owner = 0;
  gid_t group = 0;
  bool operator==(const FileBackup&) const = default;
};

struct DnsPlan {
  std::optional<FileBackup> resolv_conf;  ///< empty: stays as it is
  bool resolved = false;                  ///< systemd-resolved runs: tell it
  std::vector<LinkSetting> others;        ///< of other links, by which names could leave
};

/// An Error if resolv.conf is already ours (a tunproxy of another network namespace). Changes
/// nothing.
Result<DnsPlan> plan_dns();
/// REQUIRES: the backup and `others` are safe elsewhere.
Result<void> install_dns(const DnsPlan& plan, const std::string& tun, const IpAddress& resolver);
/// Puts the file back as it was, unless it is no longer ours (then false). Also of a former
/// process.
Result<bool> restore_resolv_conf(const FileBackup& backup);

}  // namespace tunproxy::linux_host
