#include "core/socks5/client_association.h"

#include <utility>

namespace tunproxy::socks5 {
namespace {

constexpr uint8_t kAnyV6[16] = {};

// An address of the relay's family to send from.
Endpoint source_for(const Endpoint& relay, const IpAddress& local) {
  if (local.is_v4() == relay.address.is_v4()) return {local, 0};
  return {relay.address.is_v4() ? IpAddress() : IpAddress::v6(kAnyV6), 0};
}

}  // namespace

Result<Endpoint> ClientAssociation::relay_of(const Target& bound, const Endpoint& server) {
  if (bound.is_name() || bound.port() == 0) {
    return Error{ErrorCode::protocol, "the SOCKS5 server names no address for datagrams"};
  }
  const IpAddress address = bound.address().unmapped();
  return Endpoint{address.is_any() ? server.address.unmapped() : address, bound.port()};
}

Result<std::unique_ptr<net::DatagramSession>> ClientAssociation::open(
    io::Loop& loop, UdpTraffic& traffic, Agreed agreed, const io::PrepareSocket& prepare,
    net::OnDatagram on_datagram, net::OnAssociationClosed on_closed) {
  const Result<Endpoint> relay = relay_of(agreed.bound, agreed.server);
  if (!relay) {
    loop.retire(std::move(agreed.control));
    return relay.error();
  }
  std::unique_ptr<ClientAssociation> self(new ClientAssociation(
      traffic, std::move(agreed.control), *relay, std::move(on_datagram), std::move(on_closed)));
  auto socket = io::UdpSocket::bind(
      loop, source_for(*relay, agreed.local.address.unmapped()),
      [self = self.get()](const Endpoint& from, Bytes wire) { self->receive(from, wire); },
      prepare);
  if (!socket) {
    loop.retire(std::move(self));
    return socket.error();
  }
  self->socket_ = std::move(*socket);
  ++traffic.stats.opened;
  return std::unique_ptr<net::DatagramSession>(std::move(self));
}

ClientAssociation::ClientAssociation(UdpTraffic& traffic, std::unique_ptr<net::Stream> control,
                                     const Endpoint& relay, net::OnDatagram on_datagram,
                                     net::OnAssociationClosed on_closed)
    : traffic_(traffic),
      relay_(relay),
      on_datagram_(std::move(on_datagram)),
      on_closed_(std::move(on_closed)),
      control_(std::move(control)) {
  control_->on_progress([this] { watch_control(); });
}

void ClientAssociation::send(const Target& to, Bytes payload) {
  if (closed_) {
    ++traffic_.stats.closed;
    return;
  }
  if (traffic_.send(*socket_, relay_, to, payload)) ++traffic_.stats.up;
}

void ClientAssociation::receive(const Endpoint& from, Bytes wire) {
  if (closed_) {
    ++traffic_.stats.closed;
    return;
  }
  if (from != relay_) {
    ++traffic_.stats.stranger;
    return;
  }
  const std::optional<Datagram> datagram = traffic_.unwrap(wire);
  if (!datagram) return;
  if (datagram->address.is_name()) {
    ++traffic_.stats.malformed;
    return;
  }
  ++traffic_.stats.down;
  on_datagram_({datagram->address.address(), datagram->address.port()}, datagram->data);
}

void ClientAssociation::watch_control() {
  for (Bytes bytes = control_->peek(); !bytes.empty(); bytes = control_->peek()) {
    control_->consume(bytes.size());
  }
  if (closed_ || (control_->error() == nullptr && !control_->ended())) return;
  closed_ = true;
  control_->finish();
  on_closed_({ErrorCode::reset, "the SOCKS5 server closed the association"});
}

}  // namespace tunproxy::socks5
