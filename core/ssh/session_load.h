// What an SSH connection carries now: to spread flows by, and to see whether more are wanted.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tunproxy::ssh {

struct SessionLoad {
  size_t channels = 0;    ///< that somebody uses, those being opened included
  size_t opening = 0;     ///< of these, those that the server has not answered
  size_t waiting = 0;     ///< of these, those with more to send than the connection takes
  uint64_t received = 0;  ///< bytes of data, since it was opened
  uint64_t sent = 0;
};

}  // namespace tunproxy::ssh
