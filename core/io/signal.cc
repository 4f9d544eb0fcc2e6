#include "core/io/signal.h"

#include <uv.h>

#include <utility>

namespace tunproxy::io {

Signal::Signal(Loop& loop, int signal_number, std::function<void()> on_signal)
    : on_signal_(std::move(on_signal)), handle_(new uv_signal_t) {
  uv_signal_init(loop.handle(), handle_);
  handle_->data = this;
  const auto deliver = [](uv_signal_t* handle, int) {
    if (auto* signal = static_cast<Signal*>(handle->data)) signal->on_signal_();
  };
  uv_signal_start(handle_, deliver, signal_number);
}

Signal::~Signal() {
  handle_->data = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(handle_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_signal_t*>(handle); });
}

}  // namespace tunproxy::io
