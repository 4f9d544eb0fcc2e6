// The limits of an engine, and who watches it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/address.h"
#include "core/base/time.h"

namespace tunproxy::tun2socks {

/// Told of each flow, during the call in which a proxy is asked for it, so that who keeps an
/// account knows whose flow it is.
class FlowWatcher {
 public:
  virtual ~FlowWatcher() = default;
  /// A program's TCP connection to `target`, or its UDP port, whose first datagram goes there.
  virtual void before_flow(bool udp, const Endpoint& program, const Endpoint& target) = 0;
  virtual void after_flow() = 0;
};

struct EngineOptions {
  static constexpr Duration kMaxConnectTimeout = 20s;

  /// How long an upstream connect may take; longer than kMaxConnectTimeout is cut to it.
  Duration connect_timeout = 15s;
  /// TCP flows at once, those that are opening included. A SYN above is dropped; the application
  /// tries again.
  size_t max_flows = 16384;
  /// Flows that are connecting upstream or in the handshake, at once. Another one ends the oldest
  /// of those that the upstream has not answered for `opening_patience`; else as above.
  size_t max_opening = 1024;
  Duration opening_patience = 3s;
  /// Bytes that all flows together may hold, within the loop's memory budget.
  size_t memory_cap = size_t{16} * 1024 * 1024;
  /// TCP windows of one flow in bytes, both ways; 0: 1 MB if the device offloads, else 128 KB.
  uint32_t window = 0;
  /// A flow with one direction closed and nothing moving ends after this.
  Duration half_closed_idle = 5min;
  /// Any other flow with nothing moving ends after this; 0: never.
  Duration established_idle = 2h;
  /// DNS queries over UDP under way at once; more are dropped.
  size_t max_queries = 512;
  /// ICMP errors for UDP a second, and as many at once.
  unsigned icmp_errors_per_second = 1000;
  /// UDP associations (local address and port) at once. What comes above goes by a busy one, or is
  /// refused.
  size_t udp_associations = 100;
  /// May be null; outlives the engine.
  FlowWatcher* watcher = nullptr;
  /// A UDP association with nothing moving ends after this.
  Duration udp_idle = 2min;
};

}  // namespace tunproxy::tun2socks
