#include "platform/linux/files.h"

#include <fcntl.h>

#include <cerrno>

#include "core/base/unique_fd.h"

namespace tunproxy::linux_host {
namespace {

Result<void> write_all(int fd, const std::string& path, const std::string& content) {
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = ::write(fd, content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return error_from_errno(errno, "cannot write " + path);
    done += static_cast<size_t>(n);
  }
  return {};
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return error_from_errno(errno, "cannot read " + path);
  std::string content;
  char buffer[4096];
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return error_from_errno(errno, "cannot read " + path);
    if (n == 0) return content;
    content.append(buffer, static_cast<size_t>(n));
  }
}

Result<void> write_in_place(const std::string& path, const std::string& content) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  if (!fd) return error_from_errno(errno, "cannot write " + path);
  return write_all(fd.get(), path, content);
}

Result<void> replace_file(const std::string& path, const std::string& content, mode_t mode,
                          uid_t owner, gid_t group) {
  const std::string beside = path + ".tunproxy-new";
  ::unlink(beside.c_str());
  UniqueFd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return error_from_errno(errno, "cannot write " + path);
  auto written = write_all(fd.get(), path, content);
  if (written && ((owner != 0 || group != 0) && ::fchown(fd.get(), owner, group) != 0)) {
    written = error_from_errno(errno, "cannot set the owner of " + path);
  }
  if (written && (::fchmod(fd.get(), mode) != 0 || ::rename(beside.c_str(), path.c_str()) != 0)) {
    written = error_from_errno(errno, "cannot replace " + path);
  }
  if (!written) ::unlink(beside.c_str());
  return written;
}

}  // namespace tunproxy::linux_host
