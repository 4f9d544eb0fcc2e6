// KnownServer: one server that is dialled again and again, whose name is looked up only once.
#pragma once

#include <memory>
#include <vector>

#include "core/base/address.h"
#include "core/io/loop.h"
#include "core/io/tcp.h"
#include "core/net/proxy.h"

namespace tunproxy::io {

/// For servers that must be reached while the machine's own resolver may be behind the tunnel that
/// they carry. `options.prepare` marks the sockets. Lives in one loop thread.
class KnownServer {
 public:
  KnownServer(Loop& loop, Target server, DialOptions options);

  /// Dials, after a look-up if there was no successful one yet. The error is that of the look-up or
  /// of dial(). REQUIRES: this outlives the attempt.
  std::unique_ptr<net::Attempt> dial(net::Done<std::unique_ptr<TcpStream>> done);

  const Target& target() const { return server_; }
  /// The address that answered last in front; empty before the first look-up.
  const std::vector<Endpoint>& addresses() const { return addresses_; }

 private:
  class Dialling;
  void prefer(const Endpoint& address);

  Loop& loop_;
  const Target server_;
  const DialOptions options_;
  std::vector<Endpoint> addresses_;
};

}  // namespace tunproxy::io
