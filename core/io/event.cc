#include "core/io/event.h"

#include <unistd.h>

#include "core/io/system.h"

namespace tunproxy::io {

Event::Event() {
  int ends[2] = {-1, -1};
  if (!open_pipe(ends)) {
    set_ = true;
    return;
  }
  read_.reset(ends[0]);
  write_.reset(ends[1]);
}

// Once, so that the pipe has room.
void Event::set() {
  if (set_.exchange(true)) return;
  const char byte = 0;
  if (::write(write_.get(), &byte, 1) < 0) return;
}

}  // namespace tunproxy::io
