// A Proxy that dials targets itself, from this machine.
#pragma once

#include "core/io/tcp.h"
#include "core/net/proxy.h"

namespace tunproxy::io {

class DirectProxy final : public net::Proxy {
 public:
  DirectProxy(Loop& loop, DialOptions options) : loop_(loop), options_(std::move(options)) {}

  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override;
  /// Listens on the local address from which `from` is reached; on all of its family if it is
  /// unspecified. Of a name, all addresses may come.
  std::unique_ptr<net::Attempt> bind(const net::Expected& expected, net::OnBound on_bound,
                                     net::Done<net::Accepted> done) override;

 private:
  Loop& loop_;
  DialOptions options_;
};

}  // namespace tunproxy::io
