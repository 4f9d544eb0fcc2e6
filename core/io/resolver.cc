#include "core/io/resolver.h"

#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <utility>

namespace tunproxy::io {
namespace {

std::vector<IpAddress> addresses_of(const addrinfo* found) {
  std::vector<IpAddress> addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
    addresses.push_back(Endpoint::from(entry->ai_addr).address);
  }
  return addresses;
}

Error unresolved(const std::string& name, const char* why) {
  return {ErrorCode::host_unreachable, fmt::format("cannot resolve {}: {}", name, why)};
}

// The machine's own resolver.
Result<std::vector<IpAddress>> ask_the_system(const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
#ifdef AI_IDN
  hints.ai_flags |= AI_IDN;
#endif
  addrinfo* found = nullptr;
  const int status = ::getaddrinfo(name.c_str(), nullptr, &hints, &found);
  if (status != 0) return unresolved(name, ::gai_strerror(status));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
  return addresses_of(found);
}

class Lookup final : public net::Attempt {
 public:
  Lookup(Loop& loop, Target target, net::Done<std::vector<Endpoint>> done)
      : target_(std::move(target)), done_(std::move(done)), answer_(loop, [this] { answer(); }) {
    if (target_.is_name()) {
      ask(loop, loop.lookup() ? loop.lookup() : ask_the_system);
    } else {
      answer_.schedule();
    }
  }

 private:
  void ask(Loop& loop, Loop::Lookup lookup) {
    work_ = loop.run_in_thread([found = found_, lookup = std::move(lookup),
                                name = target_.name()] { *found = lookup(name); },
                               [this] { answer(); });
  }

  // Last: the attempt may be destroyed by its Done.
  void answer() { std::exchange(done_, nullptr)(result()); }

  Result<std::vector<Endpoint>> result() const {
    if (!target_.is_name()) return std::vector<Endpoint>{{target_.address(), target_.port()}};
    if (!*found_) return found_->error();
    if ((*found_)->empty()) return unresolved(target_.name(), "it has no address");
    std::vector<Endpoint> endpoints;
    for (const IpAddress& address : **found_) endpoints.push_back({address, target_.port()});
    return endpoints;
  }

  using Found = Result<std::vector<IpAddress>>;

  const Target target_;
  net::Done<std::vector<Endpoint>> done_;
  const std::shared_ptr<Found> found_ = std::make_shared<Found>(std::vector<IpAddress>{});
  std::unique_ptr<net::Attempt> work_;
  Task answer_;
};

}  // namespace

std::unique_ptr<net::Attempt> resolve(Loop& loop, const Target& target,
                                      net::Done<std::vector<Endpoint>> done) {
  return std::make_unique<Lookup>(loop, target, std::move(done));
}

}  // namespace tunproxy::io
