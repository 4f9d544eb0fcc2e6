// Server: takes SOCKS5 clients and joins their flows with those of a Proxy (RFC 1928: CONNECT) and
// their datagrams with those of a DatagramProxy (UDP ASSOCIATE).
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>

#include "core/base/address.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/io/tcp.h"
#include "core/net/datagram_proxy.h"
#include "core/net/proxy.h"
#include "core/socks5/udp_association.h"
#include "core/socks5/udp_traffic.h"
#include "core/socks5/wire.h"

namespace tunproxy::socks5 {

class ServerConnection;

struct ServerOptions {
  size_t max_connections = 4096;        ///< above it requests are answered with 01
  Duration handshake_timeout = 10s;     ///< from the connection to the whole request
  std::optional<Credentials> required;  ///< what clients have to present; REQUIRES: check()
  size_t max_associations = 1024;       ///< for UDP; above it they are answered with 01
  Duration udp_idle = 120s;             ///< an association without datagrams ends
};

/// Lives in one loop thread. Destroying it closes everything it serves; not from within a callback
/// of it or of the proxy.
class Server {
 public:
  /// Above the maximum this many more get as far as an answer; further ones are closed at once.
  static constexpr size_t kMaxRefusals = 64;

  /// Without a listener: see serve(). REQUIRES: `loop` and `proxy` outlive it.
  Server(io::Loop& loop, net::Proxy& proxy, ServerOptions options = {});
  /// Listens at `at` (port 0 takes a free one; see local()).
  static Result<std::unique_ptr<Server>> listen(io::Loop& loop, const Endpoint& at,
                                                net::Proxy& proxy, ServerOptions options = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Carries UDP from now on; nullptr: UDP ASSOCIATE is answered with 07. REQUIRES: it outlives the
  /// associations that were made with it.
  void carry_datagrams(net::DatagramProxy* datagrams) { datagrams_ = datagrams; }

  /// Serves one client that has just connected. UDP ASSOCIATE needs `path`.
  void serve(std::unique_ptr<net::Stream> client, std::optional<ClientPath> path = std::nullopt);

  Endpoint local() const;  ///< REQUIRES: made by listen()
  size_t connections() const { return connections_.size(); }
  size_t associations() const { return associations_; }  ///< open or being opened
  const UdpStats& udp_stats() const { return traffic_.stats; }

 private:
  friend class ServerConnection;
  void retire(ServerConnection* connection);

  io::Loop& loop_;
  net::Proxy& proxy_;
  net::DatagramProxy* datagrams_ = nullptr;
  const ServerOptions options_;
  UdpTraffic traffic_;
  size_t associations_ = 0;
  std::unordered_map<ServerConnection*, std::unique_ptr<ServerConnection>> connections_;
  uint64_t served_ = 0;
  std::unique_ptr<io::TcpListener> listener_;
};

}  // namespace tunproxy::socks5
