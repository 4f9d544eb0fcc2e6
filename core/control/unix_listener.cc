#include "core/control/unix_listener.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "core/base/log.h"
#include "core/io/system.h"

namespace tunproxy::control {
namespace {

constexpr int kBacklog = 8;

Error failed(const std::string& path) {
  return error_from_errno(errno, "the control socket " + path);
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Error{ErrorCode::usage, fmt::format("the control socket's path has more than {} bytes: "
                                               "'{}'",
                                               sizeof address.sun_path - 1, path)};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

// The folder, if it was not there; empty if it was.
Result<std::string> make_folder(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0) return std::string();
  const std::string folder = path.substr(0, slash);
  if (::mkdir(folder.c_str(), 0700) == 0) return folder;
  if (errno == EEXIST) return std::string();
  return failed(path);
}

// A socket that a process left behind when it died is in the way.
Result<void> remove_stale(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode)) {
    return Error{ErrorCode::usage, fmt::format("{} is there and is no socket", path)};
  }
  const auto connected = connect_unix(path);
  if (connected) {
    return Error{ErrorCode::usage,
                 fmt::format("another tunproxy has the control socket {}; name another one", path)};
  }
  if (connected.error().code != ErrorCode::refused) return connected.error();
  return ::unlink(path.c_str()) == 0 ? Result<void>() : failed(path);
}

bool is_allowed(int fd) {
  const auto peer = io::peer_user(fd);
  return peer && (*peer == 0 || *peer == ::geteuid());
}

}  // namespace

Result<std::unique_ptr<UnixListener>> UnixListener::listen(io::Loop& loop, const std::string& path,
                                                           OnAccept on_accept) {
  const auto address = address_of(path);
  if (!address) return address.error();
  auto made = make_folder(path);
  if (!made) return made.error();
  if (auto removed = remove_stale(path); !removed) return removed.error();
  UniqueFd socket = io::open_socket(AF_UNIX, SOCK_STREAM, io::Blocking::no);
  if (!socket) return failed(path);
  // The file gets the socket's mode when it is bound (unix(7)); the umask is the program's.
  if (::fchmod(socket.get(), 0600) != 0 ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(sockaddr_un)) !=
          0 ||
      ::listen(socket.get(), kBacklog) != 0) {
    return failed(path);
  }
  return std::unique_ptr<UnixListener>(
      new UnixListener(loop, std::move(socket), path, std::move(*made), std::move(on_accept)));
}

UnixListener::UnixListener(io::Loop& loop, UniqueFd socket, std::string path, std::string folder,
                           OnAccept on_accept)
    : loop_(loop),
      path_(std::move(path)),
      folder_(std::move(folder)),
      socket_(std::move(socket)),
      inode_(0),
      on_accept_(std::move(on_accept)),
      watcher_(loop, socket_.get(), [this](auto) { accept_all(); }) {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) == 0) inode_ = status.st_ino;
  watcher_.want(true, false);
}

UnixListener::~UnixListener() {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_) ::unlink(path_.c_str());
  if (!folder_.empty()) ::rmdir(folder_.c_str());  // stays while others have something in it
}

void UnixListener::accept_all() {
  while (true) {
    UniqueFd fd = io::accept_socket(socket_.get());
    if (!fd) return;
    if (!is_allowed(fd.get())) {
      log::warn("the control socket refused another user");
      continue;
    }
    on_accept_(std::make_unique<io::TcpStream>(loop_, std::move(fd)));
  }
}

void remove_stale_sockets(const std::string& folder) {
  std::error_code failure;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failure)) {
    if (entry.is_socket(failure)) (void)remove_stale(entry.path());  // of the living, an error
  }
  ::rmdir(folder.c_str());
}

Result<UniqueFd> connect_unix(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return address.error();
  UniqueFd fd = io::open_socket(AF_UNIX, SOCK_STREAM, io::Blocking::yes);
  if (fd &&
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(sockaddr_un)) == 0) {
    return fd;
  }
  return failed(path);
}

}  // namespace tunproxy::control
