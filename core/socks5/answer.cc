#include "core/socks5/answer.h"

#include <fmt/format.h>

#include "core/socks5/http_wire.h"
#include "core/socks5/reply.h"
#include "core/socks5/socks4_wire.h"

namespace tunproxy::socks5 {
namespace {

int status_for(ErrorCode why) {
  switch (why) {
    case ErrorCode::address_not_supported:
      return 400;
    case ErrorCode::not_allowed:
      return 403;
    case ErrorCode::timed_out:
      return 504;
    case ErrorCode::limit:
    case ErrorCode::server_unreachable:
      return 503;
    case ErrorCode::command_not_supported:
      return 501;
    default:
      return 502;
  }
}

// SOCKS4 has room for an IPv4 address alone.
Endpoint as_ipv4(const Target& bound) {
  if (bound.is_name()) return {};
  const IpAddress address = bound.address().unmapped();
  return address.is_v4() ? Endpoint{address, bound.port()} : Endpoint{{}, bound.port()};
}

}  // namespace

void append_success(Protocol protocol, const Target& bound, ByteVector& to) {
  switch (protocol) {
    case Protocol::socks5:
      return encode(Reply{kSucceeded, bound}, to);
    case Protocol::socks4:
      (void)encode(Socks4Reply{kSocks4Granted, as_ipv4(bound)}, to);
      return;
    case Protocol::http:
      return append_http_success(to);
    case Protocol::unknown:
      return;
  }
}

void append_refusal(Protocol protocol, ErrorCode why, std::string_view reason, ByteVector& to) {
  switch (protocol) {
    case Protocol::socks5:
      return encode(Reply{reply_for_error(why), {}}, to);
    case Protocol::socks4:
      (void)encode(Socks4Reply{kSocks4Rejected, {}}, to);
      return;
    case Protocol::http: {
      const std::string text = fmt::format("{} ({})", reply_text(reply_for_error(why)), reason);
      return append_http_refusal(status_for(why), text, to);
    }
    case Protocol::unknown:
      return;
  }
}

}  // namespace tunproxy::socks5
