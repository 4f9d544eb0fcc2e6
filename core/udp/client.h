// Client: what speaks to something at the server that carries datagrams, and Drops, what it lost.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/net/datagram_proxy.h"
#include "core/rules/far_rule.h"

namespace tunproxy::udp {

/// How many datagrams were dropped, by where and why ("relay/too_old").
using Drops = std::map<std::string, uint64_t>;

/// Lives in one loop thread. Must not be destroyed from its own callbacks: Loop::retire().
/// REQUIRES: it outlives its attempts and sessions.
class Client : public net::DatagramProxy {
 public:
  /// Called once, from the loop, when it carries no more; sessions and attempts have been told
  /// before.
  void on_closed(std::function<void(const Error&)> closed) { closed_ = std::move(closed); }
  /// Called from the loop when the far end has not answered for a while. It may yet.
  void on_silent(std::function<void()> silent) { silent_ = std::move(silent); }

  virtual bool silent() const = 0;
  /// Gives it up for this reason; not within its callbacks, nor those of its sessions.
  virtual void close(const Error& why) = 0;
  /// Lets the far end judge datagrams by these from now on, if it can.
  virtual void enforce(const std::vector<rules::FarRule>&) {}
  virtual void add_drops(Drops& to) const = 0;

 protected:
  // Who is told may replace the callback.
  void tell_closed(const Error& error) {
    if (const auto closed = closed_) closed(error);
  }
  void tell_silent() {
    if (const auto silent = silent_) silent();
  }

 private:
  std::function<void(const Error&)> closed_;
  std::function<void()> silent_;
};

}  // namespace tunproxy::udp
