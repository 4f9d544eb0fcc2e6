// NameLane: answers names by the server's own resolver, through the relay helper while there is
// one, else over TCP.
#pragma once

#include <memory>

#include "core/dns/forwarder.h"
#include "core/net/name_service.h"
#include "core/udp/carrier.h"

namespace tunproxy {

class NameLane final : public net::NameService {
 public:
  /// REQUIRES: both outlive it.
  NameLane(udp::Carrier& carrier, dns::Forwarder& over_tcp)
      : carrier_(carrier), over_tcp_(over_tcp) {}

  std::unique_ptr<net::Attempt> exchange(const Endpoint& server, Bytes query,
                                         net::Done<ByteVector> done) override;

 private:
  class Exchange;

  udp::Carrier& carrier_;
  dns::Forwarder& over_tcp_;
};

}  // namespace tunproxy
