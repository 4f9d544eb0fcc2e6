// What a Server can be told, whom it serves, and what it counts.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/net/datagram_proxy.h"
#include "core/net/proxy.h"
#include "core/socks5/users.h"
#include "core/socks5/wire.h"

namespace tunproxy::socks5 {

/// Who asks.
struct ClientIdentity {
  std::string user;  ///< whose password was right; empty if nobody has to authenticate
  Protocol protocol = Protocol::socks5;
  std::optional<Endpoint> peer;  ///< unless it came by Server::serve() without a path
};

/// What carries a request. Both outlive everything that was asked of them.
struct WayOut {
  net::Proxy* proxy = nullptr;
  net::DatagramProxy* datagrams = nullptr;  ///< nullptr: UDP ASSOCIATE is answered with 07
  /// Destroyed after the connection's flow: for a way out that was made for this request alone.
  std::shared_ptr<void> owner = nullptr;
};

/// Chooses what carries a request of a client: by its user, its address, its destination. For UDP
/// ASSOCIATE the request names no destination. An Error is the answer: not_allowed is 02. REQUIRES:
/// `proxy` is set.
using ChooseWayOut = std::function<Result<WayOut>(const ClientIdentity&, const Request&)>;

/// "Per client" means an IPv4 address, or the /64 of an IPv6 address. The programs of this machine
/// (loopback) share one address, so that limit does not count for them.
struct ServerOptions {
  size_t max_connections = 4096;  ///< above it requests are answered with 01, or HTTP's 503
  size_t max_per_client = 1024;   ///< the same for one client
  /// Connections of which no request is carried: not yet, or it was refused. A further one closes
  /// the oldest of them: those that mean it do not stay for long.
  size_t max_half_open = 1024;
  size_t max_half_open_per_client = 128;
  Duration handshake_timeout = 10s;  ///< from the connection to the whole request
  Duration client_gone = 300s;       ///< that acknowledges nothing for this long, data or probe
  /// A flow of which one direction has ended ends if the other carries nothing for this long (up to
  /// twice as long).
  Duration half_closed_idle = 300s;
  std::vector<User> users;  ///< empty: nobody has to authenticate
  net::Secure secure;       ///< what clients have to speak below, such as TLS; may be empty
  /// Told of each connection and request that is refused at a limit of the server, and which one it
  /// is. May be empty.
  std::function<void(std::string_view limit)> on_limit;
  size_t max_associations = 1024;  ///< for UDP; above it they are answered with 01
  Duration udp_idle = 120s;        ///< an association without datagrams ends
  size_t max_binds = 256;          ///< BINDs that wait for their peer; above it they get 01
  Duration bind_timeout = 300s;    ///< for the peer to come
  /// What clients are told where a BIND listens, if the far end says no more than "anywhere": the
  /// address at which the peer can reach that end. Without it they are told 0.0.0.0.
  std::function<std::optional<IpAddress>()> outside_address;
};

/// Counted since the start.
struct ServerStats {
  static constexpr size_t kProtocols = 4;  ///< indexed by Protocol; unknown ones too
  static constexpr size_t kReplies = 9;    ///< indexed by SOCKS5's reply code

  uint64_t accepted = 0;    ///< connections
  uint64_t dropped = 0;     ///< of these, closed unheard at a limit
  uint64_t evicted = 0;     ///< of these, closed half-open in favour of newer ones
  uint64_t late = 0;        ///< of these, made no request in time
  uint64_t insecure = 0;    ///< of these, did not come through ServerOptions::secure
  uint64_t malformed = 0;   ///< of these, refused in the handshake, wrong passwords aside
  uint64_t over_limit = 0;  ///< requests that were refused at a limit
  uint64_t credentials_right = 0;
  uint64_t credentials_wrong = 0;
  std::array<uint64_t, kProtocols> protocols{};

  // Requests by command.
  uint64_t connects = 0;
  uint64_t binds = 0;
  uint64_t associates = 0;
  uint64_t unknown_commands = 0;

  /// Outcomes of requests, in whatever language they were told; a BIND counts for each answer.
  std::array<uint64_t, kReplies> replies{};
};

/// Whether a listener may be opened at `at`: one that other machines can reach has to ask for a
/// password or a certificate, unless `open_on_purpose`. Error usage, for people, says what to do.
Result<void> check_exposure(const Endpoint& at, bool authenticates, bool open_on_purpose);

}  // namespace tunproxy::socks5
