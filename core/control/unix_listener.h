// UnixListener: a Unix socket that its owner alone may talk to.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/base/unique_fd.h"
#include "core/io/fd_watcher.h"
#include "core/io/loop.h"
#include "core/io/tcp.h"

namespace tunproxy::control {

/// Mode 0600; who connects must be the user of this process or root (SO_PEERCRED), else it is
/// closed at once. The socket's file goes with this,
/// and the folder if it was made for it.
class UnixListener {
 public:
  using OnAccept = std::function<void(std::unique_ptr<io::TcpStream>)>;

  /// Makes the folder, with mode 0700, if it is not there. A socket that nobody listens on any more
  /// is replaced. Error usage: the path is too long, taken by somebody who listens, or not a
  /// socket; else why it could not be made.
  static Result<std::unique_ptr<UnixListener>> listen(io::Loop& loop, const std::string& path,
                                                      OnAccept on_accept);
  ~UnixListener();
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

  const std::string& path() const { return path_; }

 private:
  UnixListener(io::Loop& loop, UniqueFd socket, std::string path, std::string folder,
               OnAccept on_accept);
  void accept_all();

  io::Loop& loop_;
  const std::string path_;
  const std::string folder_;  // that we made; empty: it was there
  UniqueFd socket_;
  ino_t inode_;  // of our file: another's at this path is not removed
  OnAccept on_accept_;
  io::FdWatcher watcher_;
};

/// Removes the sockets in `folder` on which nobody listens, left by processes that were killed, and
/// the folder if nothing else is in it.
void remove_stale_sockets(const std::string& folder);

/// Connects; the descriptor blocks. For the client.
Result<UniqueFd> connect_unix(const std::string& path);

}  // namespace tunproxy::control
