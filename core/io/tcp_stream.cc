#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>
#include <utility>

#include "core/io/system.h"
#include "core/io/tcp.h"

namespace tunproxy::io {
namespace {

constexpr const char* kLost = "connection lost";

void make_ready(int fd) {
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails on a Unix socket: no matter
}

// A network that is back is noticed by the next try; one that comes before an answer can have come
// is wasted, and makes TCP believe in losses.
Duration longest_resend(Duration round_trip) {
  constexpr int kRoundTrips = 3;
  constexpr Duration kLongest = 10s;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(kRoundTrips * round_trip);
  return std::clamp<Duration>(seconds, kShortestResend, kLongest);
}

template <typename GetName>
Endpoint name_of(int fd, GetName get_name) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (get_name(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return {};
  if (address.ss_family != AF_INET && address.ss_family != AF_INET6) return {};
  return Endpoint::from(reinterpret_cast<sockaddr*>(&address));
}

}  // namespace

TcpStream::TcpStream(Loop& loop, UniqueFd socket)
    : loop_(loop),
      socket_(std::move(socket)),
      rest_(Loop::kScratchSize, &loop.memory()),
      progress_(loop,
                [this] {
                  if (look_again_) look_again_();
                }),
      watcher_(loop, socket_.get(), [this](FdWatcher::Ready ready) { on_ready(ready); }) {
  make_ready(socket_.get());
}

TcpStream::~TcpStream() {
  if (finished_ && ended()) return;
  const linger reset{1, 0};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

void TcpStream::on_progress(std::function<void()> look_again) {
  look_again_ = std::move(look_again);
  if (look_again_) progress_.schedule();
  watch();
}

void TcpStream::watch() {
  if (failed_) {
    watcher_.want(false, false);
  } else {
    watcher_.want(look_again_ && !at_end_ && peek().empty(), blocked_);
  }
}

void TcpStream::on_ready(FdWatcher::Ready ready) {
  if (ready.writable) blocked_ = false;
  if (ready.readable && !at_end_ && rest_.empty()) receive();
  if (look_again_) look_again_();
  if (!scratch_rest_.empty()) {
    rest_.append_all(scratch_rest_);
    scratch_rest_ = {};
  }
  watch();
}

void TcpStream::receive() {
  const MutableBytes scratch =
      loop_.scratch().first(std::min(Loop::kScratchSize, loop_.memory().allowance()));
  const ssize_t n = ::recv(socket_.get(), scratch.data(), scratch.size(), 0);
  if (n > 0) {
    scratch_rest_ = scratch.first(static_cast<size_t>(n));
  } else if (n == 0) {
    at_end_ = true;
  } else if (errno != EAGAIN && errno != EINTR) {
    if (!broken_) error_ = error_from_errno(errno, kLost);
    fail();
  }
}

void TcpStream::consume(size_t n) {
  assert(n <= peek().size());
  if (n == 0) return;
  if (!scratch_rest_.empty()) {
    scratch_rest_ = scratch_rest_.subspan(n);  // on_ready() looks after the watcher
    return;
  }
  rest_.consume(n);
  if (!rest_.empty()) return;
  if (at_end_) progress_.schedule();  // ended() has just become true
  watch();
}

size_t TcpStream::write(Bytes bytes) {
  if (finished_ || failed_ || broken_ || blocked_ || bytes.empty()) return 0;
  const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), kNoSignal);
  if (n < 0 && errno != EAGAIN && errno != EINTR) {
    // What the peer said before it went may still be read: the stream fails when that has ended.
    broken_ = true;
    error_ = error_from_errno(errno, kLost);
    progress_.schedule();
    watch();
    return 0;
  }
  const size_t taken = n < 0 ? 0 : static_cast<size_t>(n);
  blocked_ = taken < bytes.size();
  if (blocked_) watch();
  return taken;
}

void TcpStream::limit_unsent(size_t bytes) {
#ifdef TCP_NOTSENT_LOWAT
  const auto value = static_cast<int>(std::min<size_t>(bytes, INT_MAX));
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof value);
#else
  (void)bytes;
#endif
}

void TcpStream::outlast(Duration silence) {
  if (outlasts_ != silence) ignore_silence(socket_.get(), silence);
  outlasts_ = silence;
  const Duration longest = longest_resend(round_trip_time(socket_.get()));
  if (longest != longest_resend_) resend_within(socket_.get(), longest);
  longest_resend_ = longest;
}

void TcpStream::finish() {
  if (finished_ || failed_) return;
  finished_ = true;
  ::shutdown(socket_.get(), SHUT_WR);
  progress_.schedule();
}

void TcpStream::fail() {
  failed_ = true;
  rest_.clear();
  scratch_rest_ = {};
  watch();
}

Endpoint TcpStream::local() const {
  return name_of(socket_.get(), ::getsockname);
}

Endpoint TcpStream::peer() const {
  return name_of(socket_.get(), ::getpeername);
}

}  // namespace tunproxy::io
