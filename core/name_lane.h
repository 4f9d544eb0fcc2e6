// NameLane: answers names by the server's own resolver, through the relay helper while there is
// one, else over TCP; both ways where the helper is slow.
#pragma once

#include <memory>

#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/name_service.h"
#include "core/udp/carrier.h"

namespace tunproxy {

class NameLane final : public net::NameService {
 public:
  static constexpr Duration kPatience = 1500ms;  ///< with the helper; then TCP is tried as well

  /// REQUIRES: all outlive it.
  NameLane(io::Loop& loop, udp::Carrier& carrier, net::NameService& over_tcp)
      : loop_(loop), carrier_(carrier), over_tcp_(over_tcp) {}

  std::unique_ptr<net::Attempt> exchange(const Endpoint& server, Bytes query,
                                         net::Done<ByteVector> done) override;

 private:
  class Exchange;

  io::Loop& loop_;
  udp::Carrier& carrier_;
  net::NameService& over_tcp_;
};

}  // namespace tunproxy
