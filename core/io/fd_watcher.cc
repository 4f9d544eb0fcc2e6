#include "core/io/fd_watcher.h"

#include <uv.h>

#include <utility>

namespace tunproxy::io {

FdWatcher::FdWatcher(Loop& loop, int fd, std::function<void(Ready)> on_ready)
    : on_ready_(std::move(on_ready)), handle_(new uv_poll_t) {
  handle_->data = this;
  status_ = uv_poll_init(loop.handle(), handle_, fd);
  if (status_ != 0) delete std::exchange(handle_, nullptr);  // there is nothing to close
}

FdWatcher::~FdWatcher() {
  release();
}

void FdWatcher::release() {
  if (handle_ == nullptr) return;
  handle_->data = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(std::exchange(handle_, nullptr)),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
}

Result<void> FdWatcher::usable() const {
  if (status_ == 0) return {};
  return error_from_errno(-status_, "waiting for a descriptor");
}

void FdWatcher::want(bool readable, bool writable) {
  if (handle_ == nullptr) return;
  const int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
  if (events == std::exchange(events_, events)) return;
  if (events == 0) {
    uv_poll_stop(handle_);
    return;
  }
  const auto deliver = [](uv_poll_t* handle, int status, int ready) {
    auto* watcher = static_cast<FdWatcher*>(handle->data);
    if (watcher == nullptr) return;
    if (status < 0) {
      ready = UV_READABLE | UV_WRITABLE;
      watcher->events_ = 0;  // libuv has stopped it: the next want() must start it again
    }
    watcher->on_ready_({(ready & UV_READABLE) != 0, (ready & UV_WRITABLE) != 0});
  };
  uv_poll_start(handle_, events, deliver);
}

}  // namespace tunproxy::io
