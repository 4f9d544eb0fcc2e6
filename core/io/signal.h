// Calls a function in the loop when a signal comes. For programs, not for the library.
#pragma once

#include <functional>

#include "core/io/loop.h"

struct uv_signal_s;

namespace tunproxy::io {

class Signal {
 public:
  Signal(Loop& loop, int signal_number, std::function<void()> on_signal);
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;
  ~Signal();

 private:
  std::function<void()> on_signal_;
  uv_signal_s* handle_;
};

}  // namespace tunproxy::io
