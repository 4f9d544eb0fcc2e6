// ClientBind: waits, on a connection to a SOCKS5 server that has agreed to a BIND, for the second
// reply: who came (RFC 1928 §6).
#pragma once

#include <memory>

#include "core/io/loop.h"
#include "core/net/proxy.h"
#include "core/socks5/negotiate.h"

namespace tunproxy::socks5 {

/// The address of a BIND's first reply, as the client of a client should be told it: where the
/// server was reached if the server says 0.0.0.0 or ::. Error protocol if it is a name or has no
/// port.
Result<Endpoint> listening_of(const Target& bound, const Endpoint& server);

/// Takes no byte behind the reply. `done` gets the stream and who came, or an Error: the outcome
/// that the reply names, general if the server closes, protocol. Waits without a bound.
class ClientBind final : public net::Attempt {
 public:
  /// REQUIRES: `loop` outlives it.
  ClientBind(io::Loop& loop, std::unique_ptr<net::Stream> stream, net::Done<net::Accepted> done);

 private:
  void look_again();
  Result<bool> read();
  void finish(Result<void> outcome);

  io::Loop& loop_;
  std::unique_ptr<net::Stream> stream_;
  net::Done<net::Accepted> done_;
  ByteVector in_;  // the part of the reply that has come so far
  Endpoint peer_;
};

}  // namespace tunproxy::socks5
