#include "core/io/direct_bind.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/io/descriptors.h"
#include "core/io/resolver.h"
#include "core/io/system.h"

namespace tunproxy::io {
namespace {

constexpr uint16_t kAnyPort = 9;  // nothing is sent to it

// The local address from which `peer` is reached, by asking the routes.
Result<IpAddress> address_towards(const Endpoint& peer, const PrepareSocket& prepare) {
  const int family = peer.address.is_v4() ? AF_INET : AF_INET6;
  const UniqueFd socket = open_socket(family, SOCK_DGRAM, Blocking::yes);
  if (!socket) return error_from_errno(errno, "cannot make a socket");
  if (prepare) {
    if (auto prepared = prepare(socket.get()); !prepared) return prepared.error();
  }
  sockaddr_storage storage{};
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  socklen_t length = Endpoint{peer.address, kAnyPort}.to_sockaddr(&storage);
  if (::connect(socket.get(), address, length) != 0) {
    return error_from_errno(errno, "cannot reach the peer that is to connect");
  }
  length = sizeof storage;
  if (::getsockname(socket.get(), address, &length) != 0) {
    return error_from_errno(errno, "cannot find an address to listen on");
  }
  return Endpoint::from(address).address;
}

}  // namespace

DirectBind::DirectBind(Loop& loop, const net::Expected& expected, PrepareSocket prepare,
                       net::OnBound on_bound, net::Done<net::Accepted> done)
    : loop_(loop),
      prepare_(std::move(prepare)),
      on_bound_(std::move(on_bound)),
      may_come_(expected.may_come),
      bound_(loop, [this] { std::exchange(on_bound_, nullptr)(listening_); }),
      delivery_(loop, std::move(done)) {
  const Target& from = expected.from;
  if (!from.is_name()) {
    listen({Endpoint{from.address(), from.port()}});
    return;
  }
  lookup_ = resolve(loop, from, [this](Result<std::vector<Endpoint>> found) {
    if (!found) return delivery_.settle(found.error());
    listen(std::move(*found));
  });
}

void DirectBind::listen(std::vector<Endpoint> from) {
  if (auto spare = check_descriptors(); !spare) return delivery_.settle(spare.error());
  from_ = std::move(from);
  IpAddress at = from_.front().address;
  if (!at.is_any()) {
    const auto local = address_towards(from_.front(), prepare_);
    if (!local) return delivery_.settle(local.error());
    at = *local;
  }
  auto listener = TcpListener::listen(
      loop_, Endpoint{at, 0},
      [this](std::unique_ptr<TcpStream> stream) { accept(std::move(stream)); }, prepare_);
  if (!listener) return delivery_.settle(listener.error());
  listener_ = std::move(*listener);
  listening_ = listener_->local();
  bound_.schedule();
}

bool DirectBind::expects(const IpAddress& peer) const {
  if (may_come_) return may_come_(peer);
  return std::any_of(from_.begin(), from_.end(), [&](const Endpoint& from) {
    return from.address.is_any() || from.address.unmapped() == peer;
  });
}

// The first that may come.
void DirectBind::accept(std::unique_ptr<TcpStream> stream) {
  const Endpoint peer = stream->peer();
  if (delivery_.settled() || !expects(peer.address.unmapped())) return;
  delivery_.settle(net::Accepted{std::move(stream), peer});
  loop_.retire(std::move(listener_));  // it is calling
}

}  // namespace tunproxy::io
