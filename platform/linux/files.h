// Small files of the system: sysctls, resolv.conf, our own state.
#pragma once

#include <sys/stat.h>

#include <string>

#include "core/base/result.h"

namespace tunproxy::linux_host {

/// The whole file. An Error says which file and why.
Result<std::string> read_file(const std::string& path);
/// Overwrites in place: keeps the inode (and so a bind mount), its owner and its mode.
Result<void> write_in_place(const std::string& path, const std::string& content);
/// Writes beside `path` and renames over it, so that a reader sees the old or the new content,
/// never half of one. A symbolic link at `path` is replaced itself.
Result<void> replace_file(const std::string& path, const std::string& content, mode_t mode = 0644,
                          uid_t owner = 0, gid_t group = 0);

}  // namespace tunproxy::linux_host
