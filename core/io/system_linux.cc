#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdint>

#include "core/io/system.h"

namespace tunproxy::io {

UniqueFd open_socket(int family, int type, Blocking blocking) {
  const int wait = blocking == Blocking::yes ? 0 : SOCK_NONBLOCK;
  return UniqueFd(::socket(family, type | wait | SOCK_CLOEXEC, 0));
}

UniqueFd accept_socket(int listener) {
  return UniqueFd(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

bool open_pipe(int (&ends)[2]) {
  return ::pipe2(ends, O_CLOEXEC) == 0;
}

int receive_messages(int socket, Message* messages, unsigned count) {
  return ::recvmmsg(socket, messages, count, MSG_DONTWAIT, nullptr);
}

int send_messages(int socket, Message* messages, unsigned count) {
  return ::sendmmsg(socket, messages, count, MSG_DONTWAIT);
}

void ignore_silence(int socket, Duration silence) {
  const int off = 0;
  ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &off, sizeof off);
  // 0 would leave it to a number of tries, which are over soon if they are a second apart.
  const int64_t longest = silence > 0ms ? silence.count() : INT_MAX;
  const auto value = static_cast<int>(std::min<int64_t>(longest, INT_MAX));
  ::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value);
}

void resend_within(int socket, Duration longest) {
  constexpr int kRtoMaxMs = 44;  // TCP_RTO_MAX_MS, newer than many systems' headers
  const auto value = static_cast<int>(longest.count());
  ::setsockopt(socket, IPPROTO_TCP, kRtoMaxMs, &value, sizeof value);
}

Duration round_trip_time(int socket) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return 0ms;
  return std::chrono::duration_cast<Duration>(std::chrono::microseconds(info.tcpi_rtt));
}

std::optional<uid_t> peer_user(int socket) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return std::nullopt;
  return peer.uid;
}

}  // namespace tunproxy::io
