#include "core/ssh/remote_forward.h"

#include <algorithm>
#include <utility>

namespace tunproxy::ssh {
namespace {

const uint8_t kNobody[16] = {};

const Error kForbidden{ErrorCode::not_allowed,
                       "the SSH server forbids remote forwarding (AllowTcpForwarding, PermitListen "
                       "or DisableForwarding in its configuration)"};

// The narrowest of §7.1's addresses at which such a peer arrives. What is asked of a server with
// GatewayPorts no makes no difference to it.
std::string address_for(const IpAddress& from) {
  if (from.is_loopback()) return from.is_v4() ? "127.0.0.1" : "::1";
  return from.is_v4() ? "0.0.0.0" : "::";
}

IpAddress reported_for(const IpAddress& from, const std::optional<IpAddress>& server) {
  if (from.is_loopback()) return IpAddress::parse(address_for(from)).value();
  if (server && server->is_v4() == from.is_v4()) return *server;
  return from.is_v4() ? IpAddress() : IpAddress::v6(kNobody);
}

}  // namespace

RemoteForward::RemoteForward(RemoteForwards& owner, std::string address, IpAddress reported,
                             ForwardUser* user)
    : owner_(owner), address_(std::move(address)), reported_(reported), user_(user) {}

void RemoteForward::on_request_reply(bool success, MessageReader rest) {
  if (!success) return owner_.fail(*this, kForbidden);
  const uint32_t port = rest.u32();
  if (!rest.ok() || port == 0 || port > UINT16_MAX) {
    return owner_.fail(*this, {ErrorCode::protocol, "the SSH server named no port"});
  }
  port_ = port;
  if (user_ == nullptr) return owner_.cancel(*this);
  user_->on_listening({reported_, static_cast<uint16_t>(port)});
}

void RemoteForward::on_request_lost(const Error& error) {
  owner_.fail(*this, error);
}

RemoteForwards::RemoteForwards(ChannelMux& mux, std::optional<IpAddress> server)
    : mux_(mux), server_(server) {
  mux.on_forwarded([this](const ForwardedOpen& open) { return on_connection(open); });
}

RemoteForwards::~RemoteForwards() {
  mux_.on_forwarded(nullptr);
  lose({ErrorCode::reset, "the SSH connection was closed"});
}

void RemoteForwards::lose(const Error& error) {
  for (auto& forward : std::exchange(forwards_, {})) {
    mux_.forget(forward.get());
    if (forward->user_ != nullptr) forward->user_->on_forward_lost(error);
  }
}

Result<RemoteForward*> RemoteForwards::listen(const IpAddress& from, ForwardUser* user) {
  if (forwards_.size() >= kMax) return Error{ErrorCode::limit, "too many ports are listened at"};
  auto forward =
      std::make_unique<RemoteForward>(*this, address_for(from), reported_for(from, server_), user);
  if (!mux_.request(tcpip_forward(forward->address_), forward.get())) {
    return mux_.error() != nullptr ? Error{ErrorCode::host_unreachable, mux_.error()->message}
                                   : Error{ErrorCode::limit, "too many requests wait"};
  }
  forwards_.push_back(std::move(forward));
  return forwards_.back().get();
}

// Servers say where the connection came in words of their own; its port is what counts.
RemoteForward* RemoteForwards::find(const ForwardedOpen& open) const {
  RemoteForward* found = nullptr;
  for (const auto& forward : forwards_) {
    if (forward->port_ != open.port || forward->user_ == nullptr) continue;
    if (found == nullptr || forward->address_ == open.address) found = forward.get();
  }
  return open.port == 0 ? nullptr : found;
}

bool RemoteForwards::on_connection(const ForwardedOpen& open) {
  RemoteForward* forward = find(open);
  return forward != nullptr && forward->user_->on_connection(open);
}

void RemoteForwards::fail(RemoteForward& forward, const Error& error) {
  ForwardUser* user = std::exchange(forward.user_, nullptr);
  remove(forward);
  if (user != nullptr) user->on_forward_lost(error);
}

void RemoteForwards::give_up(RemoteForward& forward) {
  forward.user_ = nullptr;
  if (forward.port_ != 0) cancel(forward);
}

void RemoteForwards::cancel(RemoteForward& forward) {
  mux_.notify(cancel_tcpip_forward(forward.address_, forward.port_));
  remove(forward);
}

// It may be calling.
void RemoteForwards::remove(RemoteForward& forward) {
  const auto found = std::find_if(forwards_.begin(), forwards_.end(),
                                  [&](const auto& entry) { return entry.get() == &forward; });
  mux_.loop().retire(std::move(*found));
  forwards_.erase(found);
}

}  // namespace tunproxy::ssh
