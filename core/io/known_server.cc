#include "core/io/known_server.h"

#include <algorithm>
#include <utility>

#include "core/io/resolver.h"

namespace tunproxy::io {

class KnownServer::Dialling final : public net::Attempt {
 public:
  Dialling(KnownServer& server, net::Done<std::unique_ptr<TcpStream>> done)
      : server_(server), done_(std::move(done)) {
    if (server_.addresses_.empty()) {
      look_up();
    } else {
      connect();
    }
  }

 private:
  void look_up() {
    step_ = resolve(server_.loop_, server_.server_, [this](Result<std::vector<Endpoint>> found) {
      step_.reset();
      if (!found) return std::exchange(done_, nullptr)(found.error());
      if (server_.addresses_.empty()) server_.addresses_ = std::move(*found);
      connect();
    });
  }

  void connect() {
    step_ = io::dial(server_.loop_, server_.addresses_, server_.options_,
                     [this](Result<std::unique_ptr<TcpStream>> stream) {
                       step_.reset();
                       if (stream) server_.prefer((*stream)->peer());
                       std::exchange(done_, nullptr)(std::move(stream));  // may destroy this
                     });
  }

  KnownServer& server_;
  net::Done<std::unique_ptr<TcpStream>> done_;
  std::unique_ptr<net::Attempt> step_;
};

KnownServer::KnownServer(Loop& loop, Target server, DialOptions options)
    : loop_(loop), server_(std::move(server)), options_(std::move(options)) {}

std::unique_ptr<net::Attempt> KnownServer::dial(net::Done<std::unique_ptr<TcpStream>> done) {
  return std::make_unique<Dialling>(*this, std::move(done));
}

void KnownServer::prefer(const Endpoint& address) {
  const auto found = std::find(addresses_.begin(), addresses_.end(), address);
  if (found != addresses_.end()) std::rotate(addresses_.begin(), found, found + 1);
}

}  // namespace tunproxy::io
