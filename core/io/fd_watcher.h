// Tells when a descriptor is readable or writable. Does not own the descriptor.
#pragma once

#include <functional>

#include "core/io/loop.h"

struct uv_poll_s;

namespace tunproxy::io {

class FdWatcher {
 public:
  struct Ready {
    bool readable = false;
    bool writable = false;
  };

  /// REQUIRES: `fd` is open and non-blocking, and stays open until this is destroyed.
  FdWatcher(Loop& loop, int fd, std::function<void(Ready)> on_ready);
  FdWatcher(const FdWatcher&) = delete;
  FdWatcher& operator=(const FdWatcher&) = delete;
  ~FdWatcher();

  /// What to wait for from now on (level-triggered; an error or hang-up reports as both). Cheap if
  /// nothing changes.
  void want(bool readable, bool writable);
  /// Stops for good, so that the descriptor can go to another watcher. May be called from on_ready.
  void release();

 private:
  std::function<void(Ready)> on_ready_;
  int events_ = 0;
  uv_poll_s* handle_;
};

}  // namespace tunproxy::io
