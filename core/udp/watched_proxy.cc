#include "core/udp/watched_proxy.h"

#include <utility>

namespace tunproxy::udp {
namespace {

// What the server says of UDP, not what became of the way there.
bool is_refusal(ErrorCode code) {
  return code == ErrorCode::command_not_supported || code == ErrorCode::not_allowed ||
         code == ErrorCode::general;
}

}  // namespace

void WatchedProxy::probe() {
  probe_ = associate([](const Endpoint&, Bytes) {}, [](const Error&) {},
                     [this](Result<std::unique_ptr<net::DatagramSession>> session) {
                       if (session) loop_.retire(std::move(*session));
                       probe_.reset();
                     });
}

std::unique_ptr<net::Attempt> WatchedProxy::associate(
    net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
    net::Done<std::unique_ptr<net::DatagramSession>> done) {
  return proxy_.associate(
      std::move(on_datagram), std::move(on_closed),
      [this, done = std::move(done)](Result<std::unique_ptr<net::DatagramSession>> session) {
        turned_out(session);
        done(std::move(session));
      });
}

void WatchedProxy::turned_out(const Result<std::unique_ptr<net::DatagramSession>>& session) {
  if (!session && !is_refusal(session.error().code)) return way_lost(session.error());
  const State next = session ? State::carried : State::refused;
  why_not_ = session ? std::string() : session.error().message;
  if (std::exchange(state_, next) != next && changed_) changed_(next);
}

// That is news only where nothing else is known.
void WatchedProxy::way_lost(const Error& error) {
  if (state_ != State::unknown || why_not_ == error.message) return;
  why_not_ = error.message;
  if (changed_) changed_(state_);
}

}  // namespace tunproxy::udp
