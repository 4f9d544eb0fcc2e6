// System calls that Linux does in one step, and others in several or not at all: system_linux.cc,
// and system_posix.cc for everybody else (Darwin). All descriptors are close-on-exec.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <optional>

#include "core/base/time.h"
#include "core/base/unique_fd.h"

namespace tunproxy::io {

#ifdef __linux__
inline constexpr int kNoSignal = MSG_NOSIGNAL;
using Message = ::mmsghdr;
#else
inline constexpr int kNoSignal = 0;  // the sockets themselves raise none
struct Message {
  msghdr msg_hdr;
  unsigned msg_len;
};
#endif

enum class Blocking : bool { no, yes };

/// As socket(); send() to it with kNoSignal raises no SIGPIPE.
UniqueFd open_socket(int family, int type, Blocking blocking);
/// As accept(), non-blocking and without SIGPIPE.
UniqueFd accept_socket(int listener);
/// As pipe(). errno says why not.
bool open_pipe(int (&ends)[2]);

/// As recvmmsg() and sendmmsg() without waiting: how many messages, or -1 and errno for the first.
int receive_messages(int socket, Message* messages, unsigned count);
int send_messages(int socket, Message* messages, unsigned count);

/// The kernel no longer probes an idle peer, and ends the connection only when the peer has
/// acknowledged nothing for `silence`; 0: never. Without effect where the system has no such thing,
/// as the two below.
void ignore_silence(int socket, Duration silence);
/// What is not acknowledged is sent again after `longest` at most (Linux 6.15).
void resend_within(int socket, Duration longest);
inline constexpr Duration kShortestResend = 1s;  ///< that the kernel allows
/// As TCP estimates it; 0: unknown.
Duration round_trip_time(int socket);

/// The user at the other end of a Unix socket.
std::optional<uid_t> peer_user(int socket);

}  // namespace tunproxy::io
