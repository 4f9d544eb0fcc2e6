// ServerConnection: one client of a Server, from its first byte to the end of its flow.
#pragma once

#include <memory>
#include <string_view>

#include "core/base/time.h"
#include "core/io/timer.h"
#include "core/net/proxy.h"
#include "core/net/relay.h"
#include "core/net/stream.h"
#include "core/socks5/handshake.h"

namespace tunproxy::socks5 {

class Server;

/// Owned by its Server, in whose loop thread it lives.
///
///   handshake ──► dialing ──► replying ──► relaying ──► over
///       │            ├────────────┴───────────────────►  ▲
///       └────────────┴──► refusing ───────────────────► ─┘
class ServerConnection {
 public:
  /// `refuse`: whatever it asks for is answered with 01.
  ServerConnection(Server& server, uint64_t id, std::unique_ptr<net::Stream> client, bool refuse);
  ~ServerConnection();
  ServerConnection(const ServerConnection&) = delete;
  ServerConnection& operator=(const ServerConnection&) = delete;

 private:
  enum class State : uint8_t { handshake, dialing, replying, relaying, refusing, over };
  struct Setup;

  void look_again();
  void shake_hands();
  void on_request();
  void watch_client();
  void on_dialed(Result<std::unique_ptr<net::Stream>> upstream);
  void reply();
  void start_relay();
  void refuse(ErrorCode why, std::string_view reason);
  void linger();
  void on_timeout();
  bool flush();
  void close(std::string_view reason);
  void set_state(State next);

  Server& server_;
  const uint64_t id_;
  const Instant opened_;
  State state_ = State::handshake;
  const bool refuse_;
  std::unique_ptr<net::Stream> client_;  // the relay's, once there is one
  std::unique_ptr<Setup> setup_;         // until relaying
  std::unique_ptr<net::Relay> relay_;
};

}  // namespace tunproxy::socks5
