// SshWay: what leads to the SSH server where it is not simply dialled: jump hosts, and in front of
// the first server a proxy or a ProxyCommand.
#pragma once

#include <functional>
#include <memory>

#include "core/config.h"
#include "core/io/child.h"
#include "core/io/loop.h"
#include "core/io/tcp.h"
#include "core/net/proxy.h"
#include "core/ssh/jump.h"

namespace tunproxy {

/// Owned by whoever owns the connections to the server, and outlives them. Lives in one loop
/// thread.
class SshWay {
 public:
  /// What the machine demands of what goes beside the tunnel.
  struct Outside {
    io::PrepareSocket socket;  ///< for sockets to a proxy; may be empty
    io::PrepareChild child;    ///< for ProxyCommand; needed if `socket` is there
    io::LookUp look_up;        ///< where a proxy that does not answer went; may be empty
  };
  /// The connection to a jump host, but for its `way`.
  using MakeHop = std::function<ssh::SupervisorOptions(const SshHost& host)>;

  /// Error usage: what `settings` say contradicts itself, or a password cannot be read.
  /// REQUIRES: settings.path is resolved.
  static Result<std::unique_ptr<SshWay>> create(io::Loop& loop, const SshSettings& settings,
                                                const Outside& outside, const MakeHop& make_hop);

  /// Connects the jump hosts, if there are any; `done` may be called at once.
  void start(net::Done<void> done);
  /// Called while start() connects the jump hosts: connecting and authenticating, in turn.
  void on_start_state(std::function<void(ssh::Supervisor::State)> changed);
  /// Called when a jump host is lost for good after start().
  void on_failed(std::function<void(const Error&)> failed);
  /// For the jump hosts, as Supervisor::network_changed().
  void network_changed();
  void pause();
  void wake();
  /// For SupervisorOptions::way. Null: the server is dialled from here.
  net::Proxy* proxy();
  /// The same for a connection whose bytes go before those of others, as far as they share one.
  net::Proxy* urgent_proxy();

 private:
  SshWay() = default;

  std::unique_ptr<net::Proxy> front_;  // to the first server; null: it is dialled
  std::unique_ptr<ssh::JumpChain> jumps_;
};

}  // namespace tunproxy
