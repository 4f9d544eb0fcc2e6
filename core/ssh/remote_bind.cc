#include "core/ssh/remote_bind.h"

#include <utility>

#include "core/ssh/channel.h"

namespace tunproxy::ssh {
namespace {

const Error kNamed{ErrorCode::host_unreachable,
                   "whom the SSH server is to wait for has a name, and no address"};

}  // namespace

RemoteBind::RemoteBind(RemoteForwards& forwards, const net::Expected& expected,
                       net::OnBound on_bound, net::Done<net::Accepted> done)
    : forwards_(forwards),
      forward_(nullptr),
      expected_(expected),
      on_bound_(std::move(on_bound)),
      bound_(forwards.mux().loop(), [this] { std::exchange(on_bound_, nullptr)(listening_); }),
      delivery_(forwards.mux().loop(), std::move(done)) {
  if (expected_.from.is_name()) {
    delivery_.settle(kNamed);
    return;
  }
  auto forward = forwards.listen(expected_.from.address().unmapped(), this);
  if (forward) {
    forward_ = *forward;
  } else {
    delivery_.settle(forward.error());
  }
}

RemoteBind::~RemoteBind() {
  if (forward_ != nullptr) forwards_.give_up(*forward_);
}

void RemoteBind::on_listening(const Endpoint& at) {
  listening_ = at;
  bound_.schedule();
}

// The stream takes over at once, since data may follow in the same breath.
bool RemoteBind::on_connection(const ForwardedOpen& open) {
  std::optional<IpAddress> address;
  if (auto parsed = IpAddress::parse(open.originator)) address = parsed->unmapped();
  if (!may_come(address)) return false;
  Slot* slot = forwards_.mux().accept(open);
  if (slot == nullptr) return false;
  delivery_.settle(
      net::Accepted{std::make_unique<Channel>(forwards_.mux(), *slot),
                    {address.value_or(IpAddress()), static_cast<uint16_t>(open.originator_port)}});
  forwards_.give_up(*std::exchange(forward_, nullptr));
  return true;
}

// Servers may say who came in words of their own: who that is, is not known then.
bool RemoteBind::may_come(const std::optional<IpAddress>& peer) const {
  if (expected_.may_come) return peer && expected_.may_come(*peer);
  const IpAddress from = expected_.from.address().unmapped();
  return from.is_any() || peer == from;
}

void RemoteBind::on_forward_lost(const Error& error) {
  forward_ = nullptr;
  delivery_.settle(error);
}

}  // namespace tunproxy::ssh
