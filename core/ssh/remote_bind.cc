#include "core/ssh/remote_bind.h"

#include <utility>

#include "core/ssh/channel.h"

namespace tunproxy::ssh {
namespace {

// A name's addresses are not known here: whoever comes may be one of them.
std::optional<IpAddress> only(const Target& from) {
  if (from.is_name() || from.address().is_any()) return std::nullopt;
  return from.address().unmapped();
}

}  // namespace

RemoteBind::RemoteBind(RemoteForwards& forwards, const Target& from, net::OnBound on_bound,
                       net::Done<net::Accepted> done)
    : forwards_(forwards),
      forward_(nullptr),
      from_(from),
      on_bound_(std::move(on_bound)),
      bound_(forwards.mux().loop(), [this] { std::exchange(on_bound_, nullptr)(listening_); }),
      delivery_(forwards.mux().loop(), std::move(done)) {
  auto forward = forwards.listen(from, this);
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
  const auto address = IpAddress::parse(open.originator);
  if (const auto expected = only(from_)) {
    if (!address || address->unmapped() != *expected) return false;
  }
  Slot* slot = forwards_.mux().accept(open);
  if (slot == nullptr) return false;
  const IpAddress peer = address ? address->unmapped() : IpAddress();
  delivery_.settle(net::Accepted{std::make_unique<Channel>(forwards_.mux(), *slot),
                                 {peer, static_cast<uint16_t>(open.originator_port)}});
  forwards_.give_up(*std::exchange(forward_, nullptr));
  return true;
}

void RemoteBind::on_forward_lost(const Error& error) {
  forward_ = nullptr;
  delivery_.settle(error);
}

}  // namespace tunproxy::ssh
