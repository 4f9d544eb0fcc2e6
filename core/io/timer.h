// A one-shot timer. A periodic one starts itself again from its callback.
#pragma once

#include <functional>
#include <memory>

#include "core/base/time.h"
#include "core/io/loop.h"

struct uv_timer_s;

namespace tunproxy::io {

class Timer {
 public:
  Timer(Loop& loop, std::function<void()> on_expiry);
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();

  /// (Re)starts it: one call of `on_expiry` after `delay`, or earlier stop().
  void start(Duration delay);
  void stop();
  bool active() const;

 private:
  std::function<void()> on_expiry_;
  uv_timer_s* handle_;
};

}  // namespace tunproxy::io
