#include "core/base/error.h"

#include <cerrno>
#include <system_error>

namespace tunproxy {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::general:
      return "general failure";
    case ErrorCode::not_allowed:
      return "not allowed";
    case ErrorCode::network_unreachable:
      return "network unreachable";
    case ErrorCode::host_unreachable:
      return "host unreachable";
    case ErrorCode::refused:
      return "refused";
    case ErrorCode::timed_out:
      return "timed out";
    case ErrorCode::command_not_supported:
      return "command not supported";
    case ErrorCode::address_not_supported:
      return "address type not supported";
    case ErrorCode::reset:
      return "reset";
    case ErrorCode::protocol:
      return "protocol error";
    case ErrorCode::limit:
      return "limit";
    case ErrorCode::cancelled:
      return "cancelled";
    case ErrorCode::usage:
      return "usage";
    case ErrorCode::host_key_refused:
      return "host key refused";
    case ErrorCode::authentication_failed:
      return "authentication failed";
    case ErrorCode::server_unreachable:
      return "server unreachable";
    case ErrorCode::device_lost:
      return "device lost";
    case ErrorCode::no_permission:
      return "no permission";
  }
  return "unknown";
}

ErrorCode code_for_errno(int error_number) {
  switch (error_number) {
    case ECONNREFUSED:
      return ErrorCode::refused;
    case ENETUNREACH:
    case ENETDOWN:
      return ErrorCode::network_unreachable;
    case EHOSTUNREACH:
    case EHOSTDOWN:
      return ErrorCode::host_unreachable;
    case ETIMEDOUT:
      return ErrorCode::timed_out;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
      return ErrorCode::reset;
    case EAFNOSUPPORT:
      return ErrorCode::address_not_supported;
    case EACCES:
    case EPERM:
      return ErrorCode::no_permission;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return ErrorCode::limit;
    default:
      return ErrorCode::general;
  }
}

Error error_from_errno(int error_number, std::string_view doing) {
  std::string message(doing);
  message += ": ";
  message += std::generic_category().message(error_number);
  return {code_for_errno(error_number), std::move(message)};
}

}  // namespace tunproxy
