#include "core/outside_names.h"

#include <utility>
#include <vector>

#include "core/dns/datagram_forwarder.h"
#include "core/dns/forwarder.h"
#include "core/gate/lookup.h"
#include "core/io/direct_datagrams.h"
#include "core/io/direct_proxy.h"
#include "core/io/resolver.h"

namespace tunproxy {
namespace {

// A resolver on this machine asks others itself, through the tunnel.
std::vector<Endpoint> elsewhere(std::vector<Endpoint> resolvers) {
  std::erase_if(resolvers, [](const Endpoint& at) { return at.address.is_loopback(); });
  return resolvers;
}

io::DialOptions marked(const io::PrepareSocket& prepare) {
  io::DialOptions options;
  options.prepare = prepare;
  return options;
}

}  // namespace

// From the sockets up: by UDP, and over TCP where that brings nothing.
struct OutsideNames::Asked {
  Asked(io::Loop& loop, const io::PrepareSocket& prepare, const std::vector<Endpoint>& resolvers)
      : connections(loop, marked(prepare)),
        datagrams(loop, prepare),
        over_tcp(loop, connections, resolvers),
        names(loop, datagrams, over_tcp, resolvers, [] { return true; }),
        lookup(loop) {
    lookup.use(&names);
  }

  io::DirectProxy connections;
  io::DirectDatagrams datagrams;
  dns::Forwarder over_tcp;
  dns::DatagramForwarder names;
  gate::Lookup lookup;
};

OutsideNames::OutsideNames(io::Loop& loop, const Platform& platform)
    : loop_(loop), in_the_way_(platform.prepare_socket && !loop.lookup()) {
  const std::vector<Endpoint> resolvers = elsewhere(platform.resolvers);
  if (!in_the_way_ || resolvers.empty()) return;
  asked_ = std::make_unique<Asked>(loop, platform.prepare_socket, resolvers);
}

OutsideNames::~OutsideNames() = default;

io::LookUp OutsideNames::look_up() {
  using Done = net::Done<std::vector<Endpoint>>;
  if (!in_the_way_) {
    return [this](const Target& server, Done done) {
      return io::resolve(loop_, server, std::move(done));
    };
  }
  if (!asked_) return {};
  return [this](const Target& server, Done done) {
    return asked_->lookup.ask(server.name(),
                              [port = server.port(), done = std::move(done)](auto found) {
                                if (!found) return done(found.error());
                                std::vector<Endpoint> endpoints;
                                for (const IpAddress& address : *found)
                                  endpoints.push_back({address, port});
                                done(std::move(endpoints));
                              });
  };
}

}  // namespace tunproxy
