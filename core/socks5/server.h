// Server: takes clients of SOCKS5, SOCKS4, SOCKS4a and HTTP CONNECT on one port, and joins their
// flows with those of a Proxy (CONNECT, BIND) and their datagrams with those of a DatagramProxy
// (UDP ASSOCIATE).
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/base/address.h"
#include "core/base/log_sparing.h"
#include "core/base/result.h"
#include "core/io/loop.h"
#include "core/io/tcp.h"
#include "core/io/timer.h"
#include "core/net/datagram_proxy.h"
#include "core/net/proxy.h"
#include "core/socks5/admission.h"
#include "core/socks5/authenticator.h"
#include "core/socks5/server_options.h"
#include "core/socks5/udp_association.h"
#include "core/socks5/udp_traffic.h"

namespace tunproxy::socks5 {

class ServerConnection;

/// Lives in one loop thread. Destroying it closes everything it serves; not from within a callback
/// of it or of a proxy.
class Server {
 public:
  /// Without a listener: see serve(). REQUIRES: `loop`, `proxy` and all that `choose` names outlive
  /// it.
  Server(io::Loop& loop, ChooseWayOut choose, ServerOptions options = {});
  /// The same with one way out for everybody.
  Server(io::Loop& loop, net::Proxy& proxy, ServerOptions options = {});
  /// Listens at `at` (port 0 takes a free one; see local()). See check_exposure().
  static Result<std::unique_ptr<Server>> listen(io::Loop& loop, const Endpoint& at,
                                                ChooseWayOut choose, ServerOptions options = {});
  static Result<std::unique_ptr<Server>> listen(io::Loop& loop, const Endpoint& at,
                                                net::Proxy& proxy, ServerOptions options = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Of the one way out for everybody: carries UDP from now on; nullptr: UDP ASSOCIATE is answered
  /// with 07. REQUIRES: it outlives the associations that were made with it.
  void carry_datagrams(net::DatagramProxy* datagrams) { only_way_.datagrams = datagrams; }
  /// Replaces the users; who is being served stays.
  void set_users(std::vector<User> users) { authenticator_.set_users(std::move(users)); }

  /// Memory is short: ends the associations in which nothing was carried for `quiet`.
  void drop_quiet_udp(Duration quiet);

  /// Serves one client that has just connected. UDP ASSOCIATE and limits per client need `path`.
  void serve(std::unique_ptr<net::Stream> client, std::optional<ClientPath> path = std::nullopt);

  Endpoint local() const;  ///< REQUIRES: made by listen()
  size_t connections() const { return connections_.size(); }
  size_t half_open() const { return admission_.half_open(); }
  size_t associations() const { return associations_; }  ///< open or being opened
  size_t binds() const { return binds_; }                ///< that wait for their peer
  const ServerStats& stats() const { return stats_; }
  const UdpStats& udp_stats() const { return traffic_.stats; }

 private:
  friend class ServerConnection;
  Result<void> listen_at(const Endpoint& at);
  Result<WayOut> way_out(const ClientIdentity& client, const Request& request) const;
  void on_insecure(const std::optional<ClientPath>& path, const Error& error);
  void retire(ServerConnection* connection);
  void end_idle();

  io::Loop& loop_;
  ServerOptions options_;
  const ChooseWayOut choose_;  // empty: only_way_
  WayOut only_way_;
  ServerStats stats_;
  UdpTraffic traffic_;
  Authenticator authenticator_;
  Admission admission_{options_, loop_.memory(), stats_};
  size_t associations_ = 0;
  size_t binds_ = 0;
  uint64_t served_ = 0;
  std::unordered_map<ServerConnection*, std::unique_ptr<ServerConnection>> connections_;
  log::Sparing complaints_;
  io::Timer idle_timer_;
  std::unique_ptr<io::TcpListener> listener_;
};

}  // namespace tunproxy::socks5
