#include "core/ssh/failure.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace tunproxy::ssh {
namespace {

// RFC 4254 §5.1
constexpr uint32_t kProhibited = 1;
constexpr uint32_t kConnectFailed = 2;
constexpr uint32_t kUnknownType = 3;
constexpr uint32_t kResourceShortage = 4;

constexpr size_t kTextAtMost = 200;

struct Wording {
  std::string_view part;  // in lower case
  ErrorCode code;
};

// strerror() and gai_strerror() of the systems that servers run on. The first match counts.
constexpr Wording kWordings[] = {
    {"refused", ErrorCode::refused},
    {"network is unreachable", ErrorCode::network_unreachable},
    {"network unreachable", ErrorCode::network_unreachable},
    {"network is down", ErrorCode::network_unreachable},
    {"no route to host", ErrorCode::host_unreachable},
    {"host is unreachable", ErrorCode::host_unreachable},
    {"host unreachable", ErrorCode::host_unreachable},
    {"host is down", ErrorCode::host_unreachable},
    {"timed out", ErrorCode::timed_out},
    {"timeout", ErrorCode::timed_out},
    {"not known", ErrorCode::host_unreachable},  // "Name or service not known"
    {"name resolution", ErrorCode::host_unreachable},
    {"address associated", ErrorCode::host_unreachable},
    {"nodename nor servname", ErrorCode::host_unreachable},
    {"name does not resolve", ErrorCode::host_unreachable},
    {"unknown host", ErrorCode::host_unreachable},
    {"cannot assign requested", ErrorCode::host_unreachable},
    {"can't assign requested", ErrorCode::host_unreachable},
    {"address family not supported", ErrorCode::address_not_supported},
    {"permission denied", ErrorCode::not_allowed},
    {"not permitted", ErrorCode::not_allowed},
    {"prohibited", ErrorCode::not_allowed},
};

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

ErrorCode code_for_text(std::string_view text) {
  const std::string lower = lower_case(text);
  for (const Wording& wording : kWordings) {
    if (lower.find(wording.part) != std::string::npos) return wording.code;
  }
  return ErrorCode::general;
}

ErrorCode code_for(uint32_t reason, std::string_view text) {
  switch (reason) {
    case kProhibited:
      return ErrorCode::not_allowed;
    case kUnknownType:
      return ErrorCode::command_not_supported;
    case kResourceShortage:
      return ErrorCode::limit;
    case kConnectFailed:
    default:
      return code_for_text(text);
  }
}

std::string meaning(uint32_t reason) {
  switch (reason) {
    case kProhibited:
      return "the SSH server forbids the connection (see AllowTcpForwarding and PermitOpen in its "
             "sshd_config, or Dropbear's -j, and the options of the key in authorized_keys): ";
    case kUnknownType:
      return "the SSH server has no port forwarding: ";
    default:
      return "the SSH server could not connect: ";
  }
}

}  // namespace

Error open_failure(uint32_t reason, std::string_view text) {
  std::string shown(text.substr(0, kTextAtMost));
  std::replace_if(
      shown.begin(), shown.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  if (shown.empty()) shown = "reason " + std::to_string(reason);
  return {code_for(reason, text), meaning(reason) + shown};
}

}  // namespace tunproxy::ssh
