// UdpAssociation: what a client of a Server gets for UDP ASSOCIATE (RFC 1928 §7): a UDP socket of
// its own here, and an association of a DatagramProxy behind it.
#pragma once

#include <functional>
#include <memory>

#include "core/base/address.h"
#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/io/udp_socket.h"
#include "core/net/datagram_proxy.h"
#include "core/socks5/udp_traffic.h"

namespace tunproxy::socks5 {

/// The two ends of a client's TCP connection.
struct ClientPath {
  Endpoint local;  ///< where the client reached the server
  Endpoint peer;   ///< the client
};

/// Owned by a ServerConnection and retired with it, or before it when it has ended.
///
///   opening ──► open ──► over
class UdpAssociation {
 public:
  struct Options {
    ClientPath path;
    Target claimed;   ///< of the request: where the client says it sends from; zeros if it does not
                      ///< know
    Duration idle{};  ///< it ends after so long without a datagram that was carried
  };

  /// `on_open`, once: where the client has to send its datagrams (BND.ADDR and BND.PORT), or why
  /// there is no association. `on_end`, once after that: it is over. REQUIRES: `loop`, `proxy` and
  /// `traffic` outlive it.
  UdpAssociation(io::Loop& loop, net::DatagramProxy& proxy, UdpTraffic& traffic,
                 const Options& options, net::Done<Endpoint> on_open,
                 net::OnAssociationClosed on_end);

  /// Memory is short: ends if nothing was carried for `quiet`.
  void end_if_quiet(Duration quiet);
  /// From now on nothing is called and nothing carried.
  void stop();

  uint64_t bytes_up() const { return bytes_up_; }
  uint64_t bytes_down() const { return bytes_down_; }

 private:
  enum class State : uint8_t { opening, open, over };

  void on_session(Result<std::unique_ptr<net::DatagramSession>> session);
  void on_client_datagram(const Endpoint& from, Bytes wire);
  bool may_pass();
  bool is_clients(const Endpoint& from);
  void on_reply(const Endpoint& from, Bytes payload);
  void on_expiry();
  void fail(Error error);
  void end(const Error& error);

  io::Loop& loop_;
  UdpTraffic& traffic_;
  const Endpoint local_;
  Endpoint client_;  // port 0: not known yet
  const Duration idle_;
  net::Done<Endpoint> on_open_;
  net::OnAssociationClosed on_end_;
  State state_ = State::opening;
  Instant last_used_;
  uint64_t bytes_up_ = 0;
  uint64_t bytes_down_ = 0;
  std::unique_ptr<io::UdpSocket> socket_;
  std::unique_ptr<net::DatagramSession> session_;
  std::unique_ptr<net::Attempt> attempt_;
  io::Timer timer_;
};

}  // namespace tunproxy::socks5
