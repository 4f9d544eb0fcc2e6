#include "core/socks5/udp_association.h"

#include <utility>

namespace tunproxy::socks5 {
namespace {

// A port that the client claims counts if it is one of the address that we see the client at.
// Behind an address translation it is not, and the first datagram tells.
uint16_t port_of(const Target& claimed, const IpAddress& client) {
  if (claimed.is_name()) return 0;
  const IpAddress address = claimed.address().unmapped();
  return address.is_any() || address == client ? claimed.port() : uint16_t{0};
}

}  // namespace

UdpAssociation::UdpAssociation(io::Loop& loop, net::DatagramProxy& proxy, UdpTraffic& traffic,
                               const Options& options, net::Done<Endpoint> on_open,
                               net::OnAssociationClosed on_end)
    : loop_(loop),
      traffic_(traffic),
      local_{options.path.local.address.unmapped(), 0},
      client_{options.path.peer.address.unmapped(),
              port_of(options.claimed, options.path.peer.address.unmapped())},
      idle_(options.idle),
      on_open_(std::move(on_open)),
      on_end_(std::move(on_end)),
      timer_(loop, [this] { on_expiry(); }) {
  attempt_ =
      proxy.associate([this](const Endpoint& from, Bytes payload) { on_reply(from, payload); },
                      [this](const Error& error) { end(error); },
                      [this](Result<std::unique_ptr<net::DatagramSession>> session) {
                        on_session(std::move(session));
                      });
}

void UdpAssociation::on_session(Result<std::unique_ptr<net::DatagramSession>> session) {
  attempt_.reset();
  if (!session) return fail(session.error());
  session_ = std::move(*session);
  auto socket = io::UdpSocket::bind(
      loop_, local_, [this](const Endpoint& from, Bytes wire) { on_client_datagram(from, wire); });
  if (!socket) return fail(socket.error());
  socket_ = std::move(*socket);
  state_ = State::open;
  ++traffic_.stats.opened;
  last_used_ = loop_.now();
  timer_.start(idle_);
  on_open_(socket_->local());
}

void UdpAssociation::on_client_datagram(const Endpoint& from, Bytes wire) {
  if (!may_pass() || !is_clients(from)) return;
  const std::optional<Datagram> datagram = traffic_.unwrap(wire);
  if (!datagram) return;
  client_.port = from.port;
  last_used_ = loop_.now();
  ++traffic_.stats.up;
  bytes_up_ += datagram->data.size();
  session_->send(datagram->address, datagram->data);
}

bool UdpAssociation::may_pass() {
  if (state_ != State::open) ++traffic_.stats.closed;
  return state_ == State::open;
}

bool UdpAssociation::is_clients(const Endpoint& from) {
  if (from.address != client_.address) {
    ++traffic_.stats.stranger;
    return false;
  }
  const bool right_port = client_.port == 0 || from.port == client_.port;
  if (!right_port) ++traffic_.stats.wrong_port;
  return right_port;
}

void UdpAssociation::on_reply(const Endpoint& from, Bytes payload) {
  if (!may_pass()) return;
  if (client_.port == 0) {
    ++traffic_.stats.early;
    return;
  }
  if (!traffic_.send(*socket_, client_, from, payload)) return;
  last_used_ = loop_.now();
  ++traffic_.stats.down;
  bytes_down_ += payload.size();
}

// Datagrams do not touch the timer; it looks when the last one was.
void UdpAssociation::on_expiry() {
  const Duration quiet = loop_.now() - last_used_;
  if (quiet < idle_) return timer_.start(idle_ - quiet);
  end({ErrorCode::timed_out, "no datagrams for a while"});
}

void UdpAssociation::end_if_quiet(Duration quiet) {
  if (loop_.now() - last_used_ >= quiet) end({ErrorCode::limit, "memory is short"});
}

void UdpAssociation::stop() {
  state_ = State::over;
  attempt_.reset();
  timer_.stop();
}

void UdpAssociation::fail(Error error) {
  stop();
  on_open_(std::move(error));
}

void UdpAssociation::end(const Error& error) {
  if (state_ != State::open) return;
  stop();
  on_end_(error);
}

}  // namespace tunproxy::socks5
