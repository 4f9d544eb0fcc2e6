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

  /// REQUIRES: `fd` is open and non-blocking, and stays open until this is destroyed. One that
  /// cannot be watched, as a file cannot, is never ready: see usable().
  FdWatcher(Loop& loop, int fd, std::function<void(Ready)> on_ready);
  FdWatcher(const FdWatcher&) = delete;
  FdWatcher& operator=(const FdWatcher&) = delete;
  ~FdWatcher();

  /// The Error says why the descriptor cannot be watched.
  Result<void> usable() const;
  /// What to wait for from now on (level-triggered; an error or hang-up reports as both). Cheap if
  /// nothing changes.
  void want(bool readable, bool writable);
  /// Stops for good, so that the descriptor can go to another watcher. May be called from on_ready.
  void release();

 private:
  std::function<void(Ready)> on_ready_;
  int events_ = 0;
  int status_;         // libuv's
  uv_poll_s* handle_;  // null: not usable, or released
};

}  // namespace tunproxy::io
