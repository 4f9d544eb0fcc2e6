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
};

}  // namespace tunproxy::net
