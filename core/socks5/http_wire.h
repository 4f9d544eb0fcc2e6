// The part of HTTP/1.1 that a proxy for CONNECT needs (RFC 9110 §9.3.6, RFC 9112), as pure
// functions in the manner of wire.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/socks5/wire.h"

namespace tunproxy::socks5 {

/// Of the request line and all fields. What is longer is refused.
inline constexpr size_t kMaxHttpHead = 8 * 1024;

/// A request's head; whatever follows it belongs to the tunnel.
struct HttpRequest {
  std::string method;
  std::string target;         ///< as it stands in the request line
  std::string authorization;  ///< the value of Proxy-Authorization; empty: there was none
  bool operator==(const HttpRequest&) const = default;

  /// Where CONNECT wants to go: "host:port". Error protocol for anything else.
  Result<Target> authority() const;
  /// What `authorization` says in the scheme Basic (RFC 7617); nullopt for other schemes, for what
  /// is malformed, and for what RFC 1929 could not carry.
  std::optional<Credentials> basic() const;
};

/// Takes everything up to the empty line. Error limit if kMaxHttpHead bytes hold none, protocol for
/// what is no HTTP/1 request or repeats Proxy-Authorization.
Result<std::optional<HttpRequest>> decode_http_request(Bytes& input);

/// The head that opens a tunnel: 200, without a body.
void append_http_success(ByteVector& to);
/// A refusal with a body for people, after which the connection ends. 407 says how to authenticate.
void append_http_refusal(int status, std::string_view text, ByteVector& to);

}  // namespace tunproxy::socks5
