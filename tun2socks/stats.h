// What the engine counts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/error.h"

namespace tunproxy::tun2socks {

/// Why a packet went no further. `none` is not a reason.
enum class Drop : uint8_t {
  none,
  malformed,  ///< lengths, header chain, TCP options or flags that cannot be
  bad_checksum,
  bad_address,     ///< a source or destination that no host may use
  multicast,       ///< multicast and broadcast, which a tunnel of flows does not carry
  not_served,      ///< a protocol or ICMP message that is not answered
  hop_limit,       ///< a datagram that may go no further than here (RFC 1812 §5.3.1)
  fragment_limit,  ///< fragments that contradict each other, never became whole, or were too many
  syn_limit,       ///< too many connections under way; the client asks again
  flow_limit,
  memory_limit,  ///< TCP data above the memory cap; the client sends it again
  out_of_window,
  query_limit,        ///< too many DNS queries under way
  unanswered,         ///< a DNS query that nobody answered
  rate_limit,         ///< an ICMP error not sent
  device_full,        ///< an answer that the device did not take
  association_limit,  ///< UDP: all associations are busy and none can be shared
  opening_limit,      ///< UDP: too many datagrams waited for their association to open
  too_large,          ///< a datagram longer than the way there or back carries
};
inline constexpr size_t kDropReasons = static_cast<size_t>(Drop::too_large) + 1;
inline constexpr size_t kErrorCodes = static_cast<size_t>(ErrorCode::no_permission) + 1;

/// A stable, short name ("bad_checksum").
std::string_view to_string(Drop reason);

struct EngineStats {
  size_t flows_active = 0;                      ///< accepted by the application's side and not over
  size_t flows_opening = 0;                     ///< connecting upstream or in the handshake
  uint64_t flows_total = 0;                     ///< ever accepted
  std::array<uint64_t, kErrorCodes> refused{};  ///< by ErrorCode
  std::array<uint64_t, kDropReasons> drops{};   ///< by Drop
  uint64_t packets_in = 0;
  uint64_t packets_out = 0;
  uint64_t bytes_up = 0;  ///< TCP payload of ended and live flows, application to upstream
  uint64_t bytes_down = 0;
  uint64_t dns_queries = 0;
  uint64_t dns_answers = 0;
  uint64_t echo_replies = 0;
  size_t udp_associations = 0;      ///< now, those that are opening included
  uint64_t udp_opened = 0;          ///< asked of the proxy, ever
  uint64_t udp_failed = 0;          ///< of these, could not be opened
  uint64_t udp_lost = 0;            ///< closed by the proxy
  uint64_t udp_reaped = 0;          ///< ended after a time without traffic
  uint64_t udp_evicted = 0;         ///< ended to make room
  uint64_t udp_shared = 0;          ///< flows that went by another's association
  uint64_t udp_datagrams_up = 0;    ///< handed to an association
  uint64_t udp_datagrams_down = 0;  ///< taken by the device
  uint64_t udp_refused = 0;         ///< answered with "port unreachable", or that was limited
  size_t buffered_bytes = 0;        ///< held for flows now
  uint64_t timer_wakeups = 0;       ///< of the TCP timer
  bool timer_running = false;       ///< false while all connections are idle
  bool udp_timer_running = false;   ///< false while there is no association
  uint64_t stack_assertions = 0;

  void drop(Drop reason) { ++drops[static_cast<size_t>(reason)]; }
  uint64_t dropped(Drop reason) const { return drops[static_cast<size_t>(reason)]; }
  uint64_t refused_with(ErrorCode code) const { return refused[static_cast<size_t>(code)]; }
};

}  // namespace tunproxy::tun2socks
