// Redirect: a Proxy that leads connections to port 53, of whatever address, to a resolver.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/base/address.h"
#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/net/proxy.h"

namespace tunproxy::dns {

/// Stands in front of another Proxy, to which everything goes; DNS over TCP goes to the first
/// resolver that takes the connection.
class Redirect final : public net::Proxy {
 public:
  static constexpr Duration kResolverWait = 8s;  ///< for set_resolvers()

  /// `resolvers`: empty: nothing is led elsewhere; nullopt: not known yet, so connections to port
  /// 53 wait for set_resolvers() and fail with timed_out. `to_resolvers`: what carries those that
  /// are led elsewhere; nullptr: `proxy` as well. REQUIRES: all outlive it; it outlives its
  /// attempts.
  Redirect(io::Loop& loop, net::Proxy& proxy, std::optional<std::vector<Endpoint>> resolvers,
           net::Proxy* to_resolvers = nullptr);
  ~Redirect() override;

  /// As in the constructor. From the loop's thread.
  void set_resolvers(std::vector<Endpoint> resolvers);

  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override;

 private:
  class Trying;
  class Waiting;

  io::Loop& loop_;
  net::Proxy& proxy_;
  net::Proxy& to_resolvers_;
  std::optional<std::vector<Endpoint>> resolvers_;
  std::vector<Waiting*> waiting_;
};

}  // namespace tunproxy::dns
