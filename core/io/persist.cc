#include "core/io/persist.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

namespace tunproxy::io {

Result<void> persist(int fd, Duration bound) {
#ifdef __linux__
  constexpr int kLongestRetransmission = 44;  // TCP_RTO_MAX_MS, newer than many systems' headers
  const int second = 1000;
  ::setsockopt(fd, IPPROTO_TCP, kLongestRetransmission, &second, sizeof second);
  const int milliseconds = static_cast<int>(bound.count());
  if (::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds) != 0) {
    return error_from_errno(errno, "cannot bound the connection's silence");
  }
#else
  (void)fd;
  (void)bound;
#endif
  return {};
}

}  // namespace tunproxy::io
