// Redirect: a Proxy in which every connection to port 53 is answered here.
#pragma once

#include <memory>

#include "core/io/loop.h"
#include "core/net/name_service.h"
#include "core/net/proxy.h"

namespace tunproxy::dns {

/// Stands in front of another Proxy, to which all else goes. DNS over TCP takes the same way as DNS
/// over UDP: each message of it goes to the NameService (NameStream).
class Redirect final : public net::Proxy {
 public:
  /// REQUIRES: all three outlive it and its streams.
  Redirect(io::Loop& loop, net::Proxy& proxy, net::NameService& names)
      : loop_(loop), proxy_(proxy), names_(names) {}

  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override;

 private:
  io::Loop& loop_;
  net::Proxy& proxy_;
  net::NameService& names_;
};

}  // namespace tunproxy::dns
