// BIND over SSH: a port at the server, and the one connection that comes to it.
#pragma once

#include <optional>

#include "core/base/address.h"
#include "core/io/delivery.h"
#include "core/net/proxy.h"
#include "core/ssh/remote_forward.h"

namespace tunproxy::ssh {

/// Destroying it ends the listening.
class RemoteBind final : public net::Attempt, private ForwardUser {
 public:
  RemoteBind(RemoteForwards& forwards, const Target& from, net::OnBound on_bound,
             net::Done<net::Accepted> done);
  ~RemoteBind() override;

 private:
  void on_listening(const Endpoint& at) override;
  bool on_connection(const ForwardedOpen& open) override;
  void on_forward_lost(const Error& error) override;

  RemoteForwards& forwards_;
  RemoteForward* forward_;  // nullptr: it is gone
  const Target from_;
  net::OnBound on_bound_;
  Endpoint listening_;
  io::Task bound_;
  io::Delivery<net::Accepted> delivery_;
};

}  // namespace tunproxy::ssh
