#include <fcntl.h>
#include <unistd.h>

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

std::optional<uid_t> peer_user(int socket) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return std::nullopt;
  return peer.uid;
}

}  // namespace tunproxy::io
