// negotiate(): the client's side of SOCKS5 on a stream that is connected to a server (RFC 1928,
// 1929).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/base/secret.h"
#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/net/proxy.h"
#include "core/socks5/wire.h"

namespace tunproxy::socks5 {

/// An account at the server.
struct Account {
  std::string user;
  Secret password;

  Result<void> check() const;  ///< as Credentials::check()
};

struct NegotiateOptions {
  std::optional<Account> account;   ///< REQUIRES: check()
  Duration greeting_timeout = 10s;  ///< for greeting and authentication
  Duration reply_timeout = 30s;     ///< for the outcome of the request
};

struct Negotiated {
  std::unique_ptr<net::Stream> stream;
  Target bound;  ///< of the reply
};

/// Greets, authenticates if the server asks for it, and makes `request`; without a request it stops
/// there. `done` gets the stream, whose next byte is the target's, or an Error: the outcome that
/// the reply names; timed_out without one in time; server_unreachable, authentication_failed or
/// protocol if it did not come to a request. Takes no byte behind the reply.
std::unique_ptr<net::Attempt> negotiate(io::Loop& loop, std::unique_ptr<net::Stream> stream,
                                        std::optional<Request> request, NegotiateOptions options,
                                        net::Done<Negotiated> done);

}  // namespace tunproxy::socks5
