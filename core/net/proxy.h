// Proxy: SOCKS5's commands as an interface (RFC 1928). In process it is a function call; where
// there is a wire it is SOCKS5. Implemented by ssh::Session, socks5::Client and io::DirectProxy.
#pragma once

#include <functional>
#include <memory>

#include "core/base/address.h"
#include "core/base/result.h"
#include "core/net/stream.h"

namespace tunproxy::net {

/// Called once, from the loop, never from within the call that it was given to.
template <typename T>
using Done = std::function<void(Result<T>)>;

/// Something under way. Destroying it cancels: its Done will not be called. It may be destroyed
/// from within its own Done, and at any time after.
class Attempt {
 public:
  Attempt() = default;
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;
  virtual ~Attempt() = default;
};

/// Who came to a bind().
struct Accepted {
  std::unique_ptr<Stream> stream;
  Endpoint peer;
};
/// Puts something over a connected stream, such as TLS; `done` gets what is used in its place.
using Secure = std::function<std::unique_ptr<Attempt>(std::unique_ptr<Stream> stream,
                                                      Done<std::unique_ptr<Stream>> done)>;

/// Whom a bind() waits for.
struct Expected {
  /// Only its address may come, from any port; anybody where it is unspecified (0.0.0.0, ::).
  Target from;
  /// If there is one it decides instead, of each that comes: who may not is turned away, and the
  /// waiting goes on where the far end can. Called from the loop; does nothing but answer.
  std::function<bool(const IpAddress& peer)> may_come = nullptr;
};
/// The address at which a bind() waits; unspecified if only its port is known.
using OnBound = std::function<void(const Endpoint& listening)>;

class Proxy {
 public:
  Proxy() = default;
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;
  virtual ~Proxy() = default;

  /// CONNECT. `done` gets the stream when the target answered, or an Error whose code is the
  /// outcome (refused, host_unreachable, not_allowed, timed_out …). Always ends within a bounded
  /// time. REQUIRES: the proxy outlives the attempt.
  virtual std::unique_ptr<Attempt> connect(const Target& target,
                                           Done<std::unique_ptr<Stream>> done) = 0;

  /// BIND (RFC 1928 §4): listens at the far end for one connection. `on_bound` is called once, from
  /// the loop, and then `done`, which ends the listening; an error may come without `on_bound`:
  /// not_allowed where the far end forbids it. Waits without a bound: the caller's to end.
  /// Returns nullptr, and calls neither, where there is no BIND: that is command_not_supported.
  /// REQUIRES: the proxy outlives the attempt.
  virtual std::unique_ptr<Attempt> bind(const Expected& expected, OnBound on_bound,
                                        Done<Accepted> done) {
    (void)expected, (void)on_bound, (void)done;
    return nullptr;
  }
};

}  // namespace tunproxy::net
