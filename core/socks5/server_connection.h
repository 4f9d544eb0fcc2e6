// ServerConnection: one client of a Server, from its first byte to the end of its flow.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "core/base/time.h"
#include "core/io/timer.h"
#include "core/net/proxy.h"
#include "core/net/relay.h"
#include "core/net/stream.h"
#include "core/socks5/admission.h"
#include "core/socks5/handshake.h"
#include "core/socks5/udp_association.h"

namespace tunproxy::socks5 {

class Server;

/// Owned by its Server, in whose loop thread it lives.
///
///   securing
///       ▼
///   handshake ◄─► checking
///       │
///       ├──► dialing ───────────────► replying ──► relaying (CONNECT, BIND)
///       │       └──► listening ──────────▲ │
///       │            (BIND)                └─────► associated (UDP ASSOCIATE)
///       ▼
///   parting ──► over
///
/// Parting: there may be a last answer to read, and the client is to close. Every state can lead to
/// it, and gets to over at once when the client goes away.
class ServerConnection {
 public:
  ServerConnection(Server& server, uint64_t id, std::unique_ptr<net::Stream> client,
                   std::optional<ClientPath> path);
  ~ServerConnection();
  ServerConnection(const ServerConnection&) = delete;
  ServerConnection& operator=(const ServerConnection&) = delete;

  /// Once, at first.
  void start(std::unique_ptr<Admission::Ticket> ticket);
  /// Closes it: it is half-open, and others want its place.
  void evict();
  /// Ends its association, if it has one in which nothing was carried for `quiet`.
  void drop_quiet_udp(Duration quiet);
  /// One direction of its flow has ended, and the other carried nothing since this was asked last.
  bool is_half_closed_and_still();
  /// Closes it for that.
  void give_up();

 private:
  enum class State : uint8_t {
    securing,
    handshake,
    checking,
    dialing,
    listening,
    replying,
    relaying,
    associated,
    parting,
    over
  };
  struct Setup;

  void look_again();
  void on_secured(Result<std::unique_ptr<net::Stream>> secured);
  void shake_hands();
  void check_credentials();
  void on_checked(bool right);
  void on_failed_handshake();
  void on_request();
  void carry(const WayOut& way);
  void watch_client();
  void connect(net::Proxy& proxy, const Target& target);
  void on_dialed(Result<std::unique_ptr<net::Stream>> upstream);
  void bind(net::Proxy& proxy, const Target& from);
  void on_bound(const Endpoint& listening);
  void on_peer(Result<net::Accepted> peer);
  void release_bind();
  void associate(net::DatagramProxy* datagrams, const Target& claimed);
  void succeed(const Target& bound);
  void reply();
  void start_relay();
  void start_association();
  void watch_association();
  void on_association_end(const Error& error);
  void release_association();
  void refuse_at_limit(std::string_view limit);
  void refuse(ErrorCode why, std::string_view reason);
  void part();
  void linger();
  void on_timeout();
  bool flush();
  void close(std::string_view reason);
  std::pair<uint64_t, uint64_t> bytes() const;  // up and down
  void set_state(State next);

  Server& server_;
  const uint64_t id_;
  const Instant opened_;
  State state_ = State::securing;
  std::unique_ptr<Admission::Ticket> ticket_;
  std::shared_ptr<void> way_out_;        // of what follows
  std::unique_ptr<net::Stream> client_;  // not while it is made secure; the relay's in the end
  std::unique_ptr<Setup> setup_;         // while there is neither a flow nor an association
  std::unique_ptr<net::Relay> relay_;
  uint64_t moved_when_half_closed_ = UINT64_MAX;  // bytes at the last look; not half-closed then
  std::unique_ptr<UdpAssociation> association_;
};

}  // namespace tunproxy::socks5
