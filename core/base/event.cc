#include "core/base/event.h"

#include <fcntl.h>
#include <unistd.h>

namespace tunproxy {
namespace {

void make_non_blocking(int fd) {
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}

}  // namespace

Event::Event() {
  int ends[2] = {-1, -1};
  if (::pipe(ends) != 0) {
    set_ = true;
    return;
  }
  read_.reset(ends[0]);
  write_.reset(ends[1]);
  make_non_blocking(ends[0]);
  make_non_blocking(ends[1]);
}

void Event::set() {
  set_ = true;
  const char byte = 0;
  if (write_ && ::write(write_.get(), &byte, 1) < 0) return;  // full: it is readable already
}

}  // namespace tunproxy
