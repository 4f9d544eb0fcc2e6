#include "core/dns/redirect.h"

#include <utility>

#include "core/dns/name_stream.h"
#include "core/dns/resolv_conf.h"
#include "core/io/delivery.h"

namespace tunproxy::dns {

std::unique_ptr<net::Attempt> Redirect::connect(const Target& target,
                                                net::Done<std::unique_ptr<net::Stream>> done) {
  if (target.port() != kPort) return proxy_.connect(target, std::move(done));
  const Endpoint server{target.is_name() ? IpAddress() : target.address(), kPort};
  return std::make_unique<io::Later<std::unique_ptr<net::Stream>>>(
      loop_, std::move(done), std::make_unique<NameStream>(loop_, names_, server));
}

}  // namespace tunproxy::dns
