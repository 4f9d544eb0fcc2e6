#include "core/io/known_server.h"

#include <algorithm>
#include <utility>

#include "core/base/log.h"
#include "core/io/resolver.h"

namespace tunproxy::io {

class KnownServer::Dialling final : public net::Attempt {
 public:
  Dialling(KnownServer& server, DialOptions options, net::Done<std::unique_ptr<TcpStream>> done)
      : server_(server), options_(std::move(options)), done_(std::move(done)) {
    if (server_.addresses_.empty()) {
      look_up();
    } else {
      connect();
    }
  }

 private:
  void look_up() {
    server_.looked_up_ = server_.loop_.now();
    step_ = resolve(server_.loop_, server_.server_, [this](Result<std::vector<Endpoint>> found) {
      step_.reset();
      if (!found) return std::exchange(done_, nullptr)(found.error());
      if (server_.addresses_.empty()) server_.addresses_ = std::move(*found);
      connect();
    });
  }

  void connect() {
    step_ = io::dial(server_.loop_, server_.addresses_, options_,
                     [this](Result<std::unique_ptr<TcpStream>> stream) {
                       step_.reset();
                       if (stream) {
                         server_.prefer((*stream)->peer());
                       } else {
                         server_.look_up_again();
                       }
                       std::exchange(done_, nullptr)(std::move(stream));  // may destroy this
                     });
  }

  KnownServer& server_;
  const DialOptions options_;
  net::Done<std::unique_ptr<TcpStream>> done_;
  std::unique_ptr<net::Attempt> step_;
};

KnownServer::KnownServer(Loop& loop, Target server, DialOptions options,
                         std::vector<Endpoint> addresses)
    : loop_(loop),
      server_(std::move(server)),
      options_(std::move(options)),
      addresses_(std::move(addresses)) {}

std::unique_ptr<net::Attempt> KnownServer::dial(net::Done<std::unique_ptr<TcpStream>> done) {
  return std::make_unique<Dialling>(*this, options_, std::move(done));
}

std::unique_ptr<net::Attempt> KnownServer::dial(Duration timeout, Duration again,
                                                net::Done<std::unique_ptr<TcpStream>> done) {
  DialOptions options = options_;
  options.timeout = timeout;
  options.again = again;
  return std::make_unique<Dialling>(*this, std::move(options), std::move(done));
}

void KnownServer::prefer(const Endpoint& address) {
  const auto found = std::find(addresses_.begin(), addresses_.end(), address);
  if (found != addresses_.end()) std::rotate(addresses_.begin(), found, found + 1);
}

void KnownServer::look_up_again() {
  const bool soon = looked_up_ != Instant{} && loop_.now() - looked_up_ < kBetweenLookUps;
  if (!options_.look_up_again || addition_ || soon || !server_.is_name()) return;
  looked_up_ = loop_.now();
  addition_ = options_.look_up_again(server_, [this](Result<std::vector<Endpoint>> found) {
    loop_.retire(std::move(addition_));
    if (!found) return log::debug("no other address found: {}", found.error().message);
    add(std::move(*found));
  });
}

void KnownServer::add(std::vector<Endpoint> found) {
  for (const Endpoint& known : addresses_) {
    if (std::find(found.begin(), found.end(), known) == found.end()) found.push_back(known);
  }
  if (found.size() > kMostAddresses) found.resize(kMostAddresses);
  addresses_ = std::move(found);
}

}  // namespace tunproxy::io
