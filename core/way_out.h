// WayOut: where a tunnel's traffic goes. Implemented over SSH and over a SOCKS5 server.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"
#include "core/control/status.h"
#include "core/io/child.h"
#include "core/io/tcp.h"
#include "core/net/datagram_proxy.h"
#include "core/net/name_service.h"
#include "core/net/proxy.h"
#include "core/rules/far_rule.h"
#include "core/ssh/prompter.h"

namespace tunproxy {

/// What the platform supplies to a tunnel.
struct Platform {
  ssh::Prompter* prompter = nullptr;  ///< nobody to ask if null; outlives the tunnel
  io::PrepareSocket prepare_socket;   ///< for every outer socket; may be empty
  io::PrepareChild prepare_child;     ///< for programs that make outer sockets; may be empty
  /// The user id of the program that made a flow of the packet device; -1: unknown. May be empty.
  std::function<int32_t(bool udp, const Endpoint& program, const Endpoint& target)> flow_owner;
  bool control_socket = true;  ///< one for `tunproxy status`, where the configuration names none
  /// The machine's own, for what a SOCKS5 server cannot resolve by connecting, and to find the
  /// tunnel's server where it has moved. May be empty.
  std::vector<Endpoint> resolvers;
};

/// idle → connecting → authenticating → online ⇄ reconnecting; each but idle → failed (for good).
/// What a way out tells; the Tunnel's is the one that is shown.
enum class TunnelState : uint8_t {
  idle,
  connecting,
  authenticating,
  online,
  reconnecting,
  stopped,
  failed
};
std::string_view to_string(TunnelState state);

/// How hard memory is needed elsewhere.
enum class MemoryPressure : uint8_t { none, moderate, critical };

/// Lives in one loop thread.
class WayOut {
 public:
  using OnState = std::function<void(TunnelState state, const Error* error)>;

  WayOut() = default;
  WayOut(const WayOut&) = delete;
  WayOut& operator=(const WayOut&) = delete;
  virtual ~WayOut() = default;

  /// What who carries datagrams at the far end may enforce as well; at any time.
  virtual void enforce_there(std::vector<rules::FarRule> rules) = 0;
  /// Connects and logs in. What follows is there once that succeeded.
  virtual void start(net::Done<void> done) = 0;
  /// After each change; the error is what ended the last connection, or everything, or nullptr.
  virtual void on_state(OnState changed) = 0;

  /// For all flows that may share a connection.
  virtual net::Proxy& streams() = 0;
  /// For the flows of `group`, which share no connection with others.
  virtual net::Proxy& streams_of(const std::string& group) = 0;
  /// nullptr: datagrams are not carried.
  virtual net::DatagramProxy* datagrams() = 0;
  /// nullptr: there is no resolver to ask.
  virtual net::NameService* names() = 0;

  /// Reads the files of certificates again, for connections to come; an Error keeps the old ones.
  virtual Result<void> reload() { return {}; }
  virtual void network_changed() = 0;
  /// Sends no probes and gives nothing up until wake().
  virtual void pause() = 0;
  virtual void wake() = 0;

  /// "SSH user@host:22"
  virtual std::string name() const = 0;
  /// Fills in what it knows: server, carrier, resolver, sessions.
  virtual void describe(control::TunnelStatus& status) const = 0;
};

}  // namespace tunproxy
