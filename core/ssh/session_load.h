// What an SSH connection carries now: to spread flows by, and to see whether more are wanted.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/time.h"

namespace tunproxy::ssh {

/// A connection that carried no data for this long counts as unused.
inline constexpr Duration kQuiet = 1min;

struct SessionLoad {
  size_t channels = 0;    ///< that somebody uses, those being opened included
  size_t bulk = 0;        ///< of these, those that are not expedited
  size_t opening = 0;     ///< of these, those that the server has not answered
  size_t waiting = 0;     ///< of these, those with more to send than the connection takes
  size_t listening = 0;   ///< ports at which the server listens for somebody
  uint64_t received = 0;  ///< bytes of data, since it was opened
  uint64_t sent = 0;

  /// What would be lost with the connection.
  size_t users() const { return channels + listening; }
  SessionLoad& operator+=(const SessionLoad& other) {
    channels += other.channels;
    bulk += other.bulk;
    opening += other.opening;
    waiting += other.waiting;
    listening += other.listening;
    received += other.received;
    sent += other.sent;
    return *this;
  }
};

}  // namespace tunproxy::ssh
