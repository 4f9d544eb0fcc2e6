#include <fcntl.h>
#include <unistd.h>

#include "core/io/system.h"

namespace tunproxy::io {
namespace {

// Another thread that forks between the two steps passes the descriptor on: the price of two steps.
void set_up(int fd, Blocking blocking) {
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  if (blocking == Blocking::no) ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
#ifdef SO_NOSIGPIPE
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
}

// One after another, until one would have to wait.
template <typename Call>
int each(Message* messages, unsigned count, Call call) {
  unsigned done = 0;
  for (; done < count; ++done) {
    const ssize_t n = call(&messages[done].msg_hdr);
    if (n < 0) break;
    messages[done].msg_len = static_cast<unsigned>(n);
  }
  return done == 0 && count > 0 ? -1 : static_cast<int>(done);
}

}  // namespace

UniqueFd open_socket(int family, int type, Blocking blocking) {
  UniqueFd socket(::socket(family, type, 0));
  if (socket) set_up(socket.get(), blocking);
  return socket;
}

UniqueFd accept_socket(int listener) {
  UniqueFd socket(::accept(listener, nullptr, nullptr));
  if (socket) set_up(socket.get(), Blocking::no);
  return socket;
}

bool open_pipe(int (&ends)[2]) {
  if (::pipe(ends) != 0) return false;
  for (const int end : ends) ::fcntl(end, F_SETFD, FD_CLOEXEC);
  return true;
}

int receive_messages(int socket, Message* messages, unsigned count) {
  return each(messages, count, [&](msghdr* m) { return ::recvmsg(socket, m, MSG_DONTWAIT); });
}

int send_messages(int socket, Message* messages, unsigned count) {
  return each(messages, count, [&](msghdr* m) { return ::sendmsg(socket, m, MSG_DONTWAIT); });
}

void ignore_silence(int, Duration) {}
void resend_within(int, Duration) {}
Duration round_trip_time(int) {
  return 0ms;
}

std::optional<uid_t> peer_user(int socket) {
#ifdef __linux__  // has no getpeereid(); here this file is only tested
  (void)socket;
  return std::nullopt;
#else
  uid_t user = 0;
  gid_t group = 0;
  if (::getpeereid(socket, &user, &group) != 0) return std::nullopt;
  return user;
#endif
}

}  // namespace tunproxy::io
