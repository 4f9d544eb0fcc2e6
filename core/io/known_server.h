// KnownServer: one server that is dialled again and again, and its addresses.
#pragma once

#include <memory>
#include <vector>

#include "core/base/address.h"
#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/io/tcp.h"
#include "core/net/proxy.h"

namespace tunproxy::io {

/// For servers that must be reached while the machine's own resolver may be behind the tunnel that
/// they carry. The name is looked up before the first dial. After a dial in which no address
/// answered it is looked up again, by DialOptions::look_up_again, while dials go on: new addresses
/// come first, known ones are kept. Lives in one loop thread.
class KnownServer {
 public:
  static constexpr size_t kMostAddresses = 16;
  static constexpr Duration kBetweenLookUps = 30s;

  /// `options.prepare` marks the sockets. `addresses`: if they are known already.
  KnownServer(Loop& loop, Target server, DialOptions options, std::vector<Endpoint> addresses = {});

  /// Dials, after a look-up if there was no successful one yet. The error is that of the look-up or
  /// of dial(). REQUIRES: this outlives the attempt.
  std::unique_ptr<net::Attempt> dial(net::Done<std::unique_ptr<TcpStream>> done);
  /// The same with another DialOptions::timeout and `again`.
  std::unique_ptr<net::Attempt> dial(Duration timeout, Duration again,
                                     net::Done<std::unique_ptr<TcpStream>> done);

  const Target& target() const { return server_; }
  /// The address that answered last, or was found last, in front; empty before the first look-up.
  const std::vector<Endpoint>& addresses() const { return addresses_; }

 private:
  class Dialling;
  void prefer(const Endpoint& address);
  void look_up_again();
  void add(std::vector<Endpoint> found);

  Loop& loop_;
  const Target server_;
  const DialOptions options_;
  std::vector<Endpoint> addresses_;
  Instant looked_up_{};
  std::unique_ptr<net::Attempt> addition_;  // a look-up beside the dials
};

}  // namespace tunproxy::io
