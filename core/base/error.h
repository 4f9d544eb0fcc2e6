// What can go wrong outside the program: a code that layers act on, and a text for people.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tunproxy {

/// The first group is what a Proxy reports of a flow, in the terms of SOCKS5's reply codes (RFC
/// 1928 §6). The second is what ends a stream. The third is what ends the program (its exit codes).
enum class ErrorCode : uint8_t {
  general,
  not_allowed,  ///< forbidden by rules, here or at the far end
  network_unreachable,
  host_unreachable,  ///< also: the name does not resolve at the far end; the tunnel is down
  refused,           ///< the target answered with a reset
  timed_out,         ///< nobody answered within the bound
  command_not_supported,
  address_not_supported,

  reset,     ///< the peer, or the transport below, went away without a proper end
  protocol,  ///< the peer sent what its protocol forbids
  limit,     ///< a named maximum of ours was met
  cancelled,

  usage,  ///< bad configuration or input of the user
  host_key_refused,
  authentication_failed,
  server_unreachable,
  device_lost,  ///< of the packets
  no_permission,
};

/// A stable, short name ("refused") for logs and tests.
std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::general;
  std::string
      message;  ///< one clear line, without secrets; may name a destination only in debug logs
};

/// The flow error that a failed system call stands for (ECONNREFUSED → refused …).
ErrorCode code_for_errno(int error_number);
Error error_from_errno(int error_number, std::string_view doing);

}  // namespace tunproxy
