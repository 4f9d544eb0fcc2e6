#include "platform/linux/dns_config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <utility>

#include "core/base/log.h"
#include "platform/linux/files.h"

namespace tunproxy::linux_host {
namespace {

constexpr const char* kMarker = "# Written by tunproxy";

Result<FileBackup> back_up(const std::string& path) {
  FileBackup backup;
  backup.path = path;
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return backup;
    return error_from_errno(errno, "cannot read " + path);
  }
  backup.mode = status.st_mode & 07777;
  backup.owner = status.st_uid;
  backup.group = status.st_gid;
  if (S_ISLNK(status.st_mode)) {
    backup.kind = FileBackup::Kind::symlink;
    char target[4096];
    const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
    if (n < 0) return error_from_errno(errno, "cannot read " + path);
    backup.content.assign(target, static_cast<size_t>(n));
    return backup;
  }
  backup.kind = FileBackup::Kind::file;
  auto content = read_file(path);
  if (!content) return content.error();
  backup.content = std::move(*content);
  return backup;
}

// A bind mount cannot be renamed over, and /etc may be read-only around it: then write into it.
Result<void> put_file(const std::string& path, const std::string& content, const FileBackup& like) {
  const bool was_file = like.kind == FileBackup::Kind::file;
  auto replaced = was_file ? replace_file(path, content, like.mode, like.owner, like.group)
                           : replace_file(path, content);
  if (replaced || !was_file) return replaced;
  auto written = write_in_place(path, content);
  return written ? written : replaced;
}

}  // namespace

bool leads_to_stub(const std::string& content) {
  std::istringstream lines(content);
  std::string word;
  bool any = false;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    if (!(words >> word) || word != "nameserver" || !(words >> word)) continue;
    if (word != "127.0.0.53" && word != "127.0.0.54") return false;
    any = true;
  }
  return any;
}

std::string resolv_conf_for(const IpAddress& resolver) {
  return std::string(kMarker) + " for as long as its tunnel is up (else: tunproxy --restore).\n" +
         "nameserver " + resolver.to_string() + "\n";
}

bool is_our_resolv_conf(const std::string& content) {
  return content.rfind(kMarker, 0) == 0;
}

Result<DnsPlan> plan_dns() {
  DnsPlan plan;
  plan.resolved = resolved_runs();
  if (plan.resolved) plan.others = ways_beside("");
  auto content = read_file(kResolvConf);
  if (content && is_our_resolv_conf(*content)) {
    return Error{
        ErrorCode::general,
        "another tunproxy has replaced /etc/resolv.conf: stop it, or run tunproxy --restore "
        "in its network namespace"};
  }
  if (plan.resolved && content && leads_to_stub(*content)) return plan;
  auto backup = back_up(kResolvConf);
  if (!backup) return backup.error();
  plan.resolv_conf = std::move(*backup);
  return plan;
}

Result<void> install_dns(const DnsPlan& plan, const std::string& tun, const IpAddress& resolver) {
  if (plan.resolved) {
    if (auto told = install_resolved(tun, resolver); !told) return told;
    if (auto taken = take_away(plan.others); !taken) return taken;
  }
  if (!plan.resolv_conf) return {};
  return put_file(plan.resolv_conf->path, resolv_conf_for(resolver), *plan.resolv_conf);
}

Result<bool> restore_resolv_conf(const FileBackup& backup) {
  auto now = read_file(backup.path);
  if (!now || !is_our_resolv_conf(*now)) return false;
  switch (backup.kind) {
    case FileBackup::Kind::file: {
      auto restored = put_file(backup.path, backup.content, backup);
      if (!restored) return restored.error();
      return true;
    }
    case FileBackup::Kind::symlink: {
      const std::string beside = backup.path + ".tunproxy-new";
      ::unlink(beside.c_str());
      if (::symlink(backup.content.c_str(), beside.c_str()) == 0 &&
          ::rename(beside.c_str(), backup.path.c_str()) == 0) {
        return true;
      }
      return error_from_errno(errno, "cannot restore " + backup.path);
    }
    case FileBackup::Kind::missing:
      if (::unlink(backup.path.c_str()) == 0) return true;
      return error_from_errno(errno, "cannot remove " + backup.path);
  }
  return false;
}

}  // namespace tunproxy::linux_host
