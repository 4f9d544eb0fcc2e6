// Client: a Proxy and a DatagramProxy that is a SOCKS5 server somewhere else (RFC 1928).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/io/known_server.h"
#include "core/io/loop.h"
#include "core/io/tcp.h"
#include "core/net/datagram_proxy.h"
#include "core/net/proxy.h"
#include "core/socks5/negotiate.h"
#include "core/socks5/udp_traffic.h"

namespace tunproxy::socks5 {

struct ClientOptions {
  io::DialOptions dial;  ///< how the server is reached; `prepare` is for the UDP sockets as well
  net::Secure secure;    ///< such as TLS; may be empty. Datagrams do not go through it
  NegotiateOptions negotiate;
  /// It stands in front of one server: where it is of no use itself, connect() says so with the
  /// codes of probe().
  bool in_front = false;
};

/// One connection to the server for each flow and each association. Lives in one loop thread.
class Client final : public net::Proxy, public net::DatagramProxy {
 public:
  /// REQUIRES: `loop` outlives it; the client outlives its attempts and
  /// associations.
  Client(io::Loop& loop, Target server, ClientOptions options = {});

  /// Resolves the server's name, connects and greets, so that a program can fail at its start.
  /// Error server_unreachable, authentication_failed or protocol (something else listens there).
  std::unique_ptr<net::Attempt> probe(net::Done<void> done);

  /// A server that cannot be reached or used makes flows fail with host_unreachable.
  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override;

  /// BIND. Where the server listens is told as it says it; as the address at which the server was
  /// reached if it says 0.0.0.0 or ::. The first who comes and may not ends it: not_allowed.
  std::unique_ptr<net::Attempt> bind(const net::Expected& expected, net::OnBound on_bound,
                                     net::Done<net::Accepted> done) override;

  /// UDP ASSOCIATE. Datagrams go to the server's UDP port and not through the connection, whose end
  /// is the association's. Error command_not_supported: the server carries no UDP.
  std::unique_ptr<net::Attempt> associate(
      net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
      net::Done<std::unique_ptr<net::DatagramSession>> done) override;

  /// Of all associations. `wrong_port`, `early` and `refused` are a server's alone.
  const UdpStats& udp_stats() const { return traffic_.stats; }

  /// The server's; empty before the first flow or probe.
  const std::vector<Endpoint>& addresses() const { return server_.addresses(); }

 private:
  class Bind;
  class Dial;
  Error unreachable(const Error& cause) const;

  io::Loop& loop_;
  io::KnownServer server_;
  const ClientOptions options_;
  UdpTraffic traffic_;
};

}  // namespace tunproxy::socks5
