#include <fmt/core.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "core/base/log.h"
#include "core/io/system.h"
#include "core/io/tcp.h"
#include "core/io/timer.h"

namespace tunproxy::io {
namespace {

constexpr int kBacklog = 1024;
constexpr int kAcceptsPerTurn = 64;
constexpr Duration kShortagePause = 100ms;

}  // namespace

struct TcpListener::State {
  State(Loop& loop_, UniqueFd socket_, OnAccept on_accept_, TcpListener* self)
      : loop(loop_),
        socket(std::move(socket_)),
        on_accept(std::move(on_accept_)),
        watcher(loop, socket.get(), [self](auto) { self->accept_all(); }),
        pause(loop, [this] { watcher.want(true, false); }) {
    watcher.want(true, false);
  }

  Loop& loop;
  UniqueFd socket;
  OnAccept on_accept;
  FdWatcher watcher;
  Timer pause;
};

Result<std::unique_ptr<TcpListener>> TcpListener::listen(Loop& loop, const Endpoint& at,
                                                         OnAccept on_accept,
                                                         const PrepareSocket& prepare) {
  const int family = at.address.is_v4() ? AF_INET : AF_INET6;
  UniqueFd socket = open_socket(family, SOCK_STREAM, Blocking::no);
  const auto fail = [&] {
    return error_from_errno(errno, fmt::format("cannot listen on {}", at.to_string()));
  };
  if (!socket) return fail();
  if (prepare) {
    if (auto prepared = prepare(socket.get()); !prepared) return prepared.error();
  }
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_storage address{};
  const unsigned length = at.to_sockaddr(&address);
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) return fail();
  if (::listen(socket.get(), kBacklog) != 0) return fail();
  return std::unique_ptr<TcpListener>(
      new TcpListener(loop, std::move(socket), std::move(on_accept)));
}

TcpListener::TcpListener(Loop& loop, UniqueFd socket, OnAccept on_accept)
    : state_(std::make_unique<State>(loop, std::move(socket), std::move(on_accept), this)) {}

TcpListener::~TcpListener() = default;

void TcpListener::accept_all() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    UniqueFd socket = accept_socket(state_->socket.get());
    if (socket) {
      state_->on_accept(std::make_unique<TcpStream>(state_->loop, std::move(socket)));
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      log::warn("cannot accept a connection for the moment: too many open files");
      state_->watcher.want(false, false);
      state_->pause.start(kShortagePause);
      return;
    } else if (errno != ECONNABORTED && errno != EINTR) {
      return;
    }
  }
}

Endpoint TcpListener::local() const {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  ::getsockname(state_->socket.get(), reinterpret_cast<sockaddr*>(&address), &length);
  return Endpoint::from(reinterpret_cast<sockaddr*>(&address));
}

}  // namespace tunproxy::io
