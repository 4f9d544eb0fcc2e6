// Makes a TLS connection over a stream.
#pragma once

#include <memory>

#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/net/proxy.h"
#include "core/net/stream.h"
#include "core/tls/context.h"

namespace tunproxy::tls {

constexpr Duration kHandshakeTimeout = 15s;

/// The server's side. `done` gets a tls::Stream, or an Error: authentication_failed (a
/// certificate), protocol (no TLS, a version or cipher that is not allowed), timed_out, reset.
std::unique_ptr<net::Attempt> accept(io::Loop& loop, std::unique_ptr<net::Stream> stream,
                                     std::shared_ptr<ServerContext> context,
                                     net::Done<std::unique_ptr<net::Stream>> done,
                                     Duration timeout = kHandshakeTimeout);

/// The client's side; errors as above. That a server wants a certificate which we do not have shows
/// only later in TLS 1.3: as the stream's error().
std::unique_ptr<net::Attempt> connect(io::Loop& loop, std::unique_ptr<net::Stream> stream,
                                      std::shared_ptr<ClientContext> context,
                                      net::Done<std::unique_ptr<net::Stream>> done,
                                      Duration timeout = kHandshakeTimeout);

}  // namespace tunproxy::tls
