// Event: set once, from any thread, for others that wait for it.
#pragma once

#include <atomic>

#include "core/base/unique_fd.h"

namespace tunproxy::io {

/// Not set at first; once set, for good. Set from the start if the process has no descriptors left:
/// nobody shall wait for what cannot come.
class Event {
 public:
  Event();
  void set();
  bool is_set() const { return set_; }
  int fd() const { return read_.get(); }  ///< readable once it is set, for poll()

 private:
  UniqueFd read_;
  UniqueFd write_;
  std::atomic<bool> set_ = false;
};

}  // namespace tunproxy::io
