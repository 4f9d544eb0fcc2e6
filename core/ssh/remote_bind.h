// BIND over SSH: a port at the server, and the one connection that comes to it.
#pragma once

#include <optional>

#include "core/base/address.h"
#include "core/io/delivery.h"
#include "core/net/proxy.h"
#include "core/ssh/remote_forward.h"

namespace tunproxy::ssh {

/// Destroying it ends the listening. Whoever waits for a name says itself which addresses are that
/// name's: here nobody knows them, and it is an Error.
class RemoteBind final : public net::Attempt, private ForwardUser {
 public:
  RemoteBind(RemoteForwards& forwards, const net::Expected& expected, net::OnBound on_bound,
             net::Done<net::Accepted> done);
  ~RemoteBind() override;

 private:
  void on_listening(const Endpoint& at) override;
  bool on_connection(const ForwardedOpen& open) override;
  bool may_come(const std::optional<IpAddress>& peer) const;
  void on_forward_lost(const Error& error) override;

  RemoteForwards& forwards_;
  RemoteForward* forward_;  // nullptr: it is gone
  const net::Expected expected_;
  net::OnBound on_bound_;
  Endpoint listening_;
  io::Task bound_;
  io::Delivery<net::Accepted> delivery_;
};

}  // namespace tunproxy::ssh
