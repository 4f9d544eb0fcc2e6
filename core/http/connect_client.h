// ConnectClient: a Proxy that is an HTTP proxy somewhere else (CONNECT, RFC 9110 §9.3.6): the way
// to an SSH server from networks that let nothing else out.
#pragma once

#include <memory>
#include <optional>

#include "core/base/address.h"
#include "core/http/connect_wire.h"
#include "core/io/known_server.h"
#include "core/io/loop.h"
#include "core/io/tcp.h"
#include "core/net/proxy.h"

namespace tunproxy::http {

struct ConnectOptions {
  io::DialOptions dial;                    ///< how the proxy is reached
  std::optional<Credentials> credentials;  ///< sent with each request. REQUIRES: check()
  Duration reply_timeout = 30s;            ///< for the outcome of CONNECT
  net::Secure secure;                      ///< for https://; empty: plain
};

/// One connection to the proxy for each flow. Names go to the proxy as they are; the proxy's own is
/// looked up once. Lives in one loop thread.
class ConnectClient final : public net::Proxy {
 public:
  /// REQUIRES: `loop` outlives it; the client outlives its attempts.
  ConnectClient(io::Loop& loop, Target proxy, ConnectOptions options = {});

  /// Errors say which of both is meant: server_unreachable (the proxy cannot be reached or does not
  /// answer), protocol (it is no HTTP proxy), authentication_failed (407), not_allowed (403),
  /// command_not_supported (405, 501), timed_out (504, or no reply in time), host_unreachable (500,
  /// 502, 503: the target).
  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override;

  /// The proxy's addresses; empty before the first flow.
  const std::vector<Endpoint>& addresses() const { return proxy_.addresses(); }

 private:
  class Dial;

  io::Loop& loop_;
  io::KnownServer proxy_;
  const ConnectOptions options_;
};

}  // namespace tunproxy::http
