#include "platform/linux/private_names.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string>

#include "core/base/unique_fd.h"
#include "platform/linux/dns_config.h"
#include "platform/linux/files.h"

namespace tunproxy::linux_host {
namespace {

// Of systemd-resolved, the name service cache and mDNS.
constexpr const char* kNameServices[] = {"/run/systemd/resolve", "/run/nscd", "/var/run/nscd",
                                         "/run/avahi-daemon"};
constexpr const char* kUplinkResolvConf = "/run/systemd/resolve/resolv.conf";
constexpr const char* kScratch = "/tmp";  // mounted over for a moment
constexpr const char* kTmpfsOptions = "mode=0755,size=64k";

Error cannot(const char* doing) {
  return error_from_errno(errno,
                          std::string("cannot give the command its own resolv.conf: ") + doing);
}

bool mount_tmpfs(const std::string& at) {
  return ::mount("tunproxy", at.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                 kTmpfsOptions) == 0;
}

bool is_below(const std::string& path, const std::string& directory) {
  return path.rfind(directory + "/", 0) == 0;
}

bool create_file(const std::string& path, const std::string& content) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd || ::fchmod(fd.get(), 0644) != 0) return false;
  return ::write(fd.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size());
}

std::string real_path(const char* path) {
  char resolved[PATH_MAX];
  return ::realpath(path, resolved) != nullptr ? resolved : "";
}

// True if resolv.conf was in a directory that got hidden, and is there anew.
Result<bool> hide_name_services(const std::string& resolv_conf, const std::string& content) {
  bool placed = false;
  for (const char* service : kNameServices) {
    const std::string directory = real_path(service);
    if (directory.empty()) continue;
    if (!mount_tmpfs(directory)) return cannot("hiding a local name service");
    if (!is_below(resolv_conf, directory)) continue;
    if (!create_file(resolv_conf, content)) return cannot("writing it");
    placed = true;
  }
  return placed;
}

// The scratch mount goes at once; what is bound or stacked from it keeps it alive.
Result<void> cover_resolv_conf(const std::string& resolv_conf, const std::string& content) {
  const UniqueFd target(resolv_conf.empty() ? -1 : ::open(resolv_conf.c_str(), O_PATH | O_CLOEXEC));
  if (!mount_tmpfs(kScratch)) return cannot("mounting a tmpfs");
  const std::string scratch = kScratch;
  Result<void> result;
  if (!create_file(scratch + "/resolv.conf", content)) {
    result = cannot("writing it");
  } else if (target) {
    const std::string at = "/proc/self/fd/" + std::to_string(target.get());
    if (::mount((scratch + "/resolv.conf").c_str(), at.c_str(), nullptr, MS_BIND, nullptr) != 0) {
      result = cannot("binding it");
    }
  } else {
    // There is nothing to bind over: stack a directory with the file upon /etc.
    const std::string layers = "lowerdir=" + scratch + ":/etc";
    if (::mount("tunproxy", "/etc", "overlay", MS_NODEV, layers.c_str()) != 0) {
      result = cannot("there is none, and /etc cannot be overlaid; create /etc/resolv.conf");
    }
  }
  ::umount2(kScratch, MNT_DETACH);
  return result;
}

}  // namespace

Result<void> install_private_names(const IpAddress& resolver) {
  return install_private_names(resolv_conf_for(resolver));
}

Result<void> install_private_names(const std::string& content) {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return cannot("mounting");
  const std::string resolv_conf = real_path(kResolvConf);
  auto placed = hide_name_services(resolv_conf, content);
  if (!placed) return placed.error();
  if (*placed) return {};
  return cover_resolv_conf(resolv_conf, content);
}

std::string uplink_resolv_conf() {
  const auto plain = read_file(kResolvConf);
  if (plain && is_our_resolv_conf(*plain)) return "";
  if (plain && leads_to_stub(*plain)) {
    if (auto uplink = read_file(kUplinkResolvConf)) return *uplink;
  }
  return plain ? *plain : "";
}

}  // namespace tunproxy::linux_host
