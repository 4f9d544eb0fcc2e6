#include "core/io/timer.h"

#include <uv.h>

#include <algorithm>
#include <utility>

namespace tunproxy::io {

Timer::Timer(Loop& loop, std::function<void()> on_expiry)
    : on_expiry_(std::move(on_expiry)), handle_(new uv_timer_t) {
  uv_timer_init(loop.handle(), handle_);
  handle_->data = this;
}

Timer::~Timer() {
  handle_->data = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(handle_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_timer_t*>(handle); });
}

void Timer::start(Duration delay) {
  const auto expire = [](uv_timer_t* handle) {
    if (auto* timer = static_cast<Timer*>(handle->data)) timer->on_expiry_();
  };
  uv_timer_start(handle_, expire, static_cast<uint64_t>(std::max(delay, 0ms).count()), 0);
}

void Timer::stop() {
  uv_timer_stop(handle_);
}

bool Timer::active() const {
  return uv_is_active(reinterpret_cast<const uv_handle_t*>(handle_)) != 0;
}

}  // namespace tunproxy::io
