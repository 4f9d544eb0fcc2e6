#include "tools/relay/association.h"

#include <utility>

namespace tunproxy::relay {
namespace {

constexpr uint8_t kAnyV6[16] = {};

}  // namespace

Association::Association(io::Loop& loop, io::UdpSocket::OnDatagram on_datagram)
    : loop_(loop), on_datagram_(std::move(on_datagram)), used_(loop.now()) {}

Result<Endpoint> Association::open() {
  Result<Endpoint> bound = bind(false);
  return bound ? bound : bind(true);
}

Result<Endpoint> Association::bind(bool v6) {
  const Endpoint any{v6 ? IpAddress::v6(kAnyV6) : IpAddress(), 0};
  auto socket = io::UdpSocket::bind(loop_, any, [this](const Endpoint& from, Bytes payload) {
    touch();
    on_datagram_(from, payload);
  });
  if (!socket) return socket.error();
  families_[v6].socket = *std::move(socket);
  return families_[v6].socket->local();
}

bool Association::queue(const Endpoint& to, Bytes payload) {
  touch();
  const bool v6 = to.address.is_v6();
  if (families_[v6].socket == nullptr && !bind(v6)) return false;
  families_[v6].outgoing.push_back({to, payload});
  queued_ = true;
  return true;
}

Association::Flushed Association::flush() {
  Flushed flushed;
  for (Family& family : families_) {
    if (family.outgoing.empty()) continue;
    const size_t sent = family.socket->send(family.outgoing);
    flushed.sent += sent;
    flushed.failed += family.outgoing.size() - sent;
    family.outgoing.clear();
  }
  queued_ = false;
  return flushed;
}

}  // namespace tunproxy::relay
