#include "core/socks5/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/io/resolver.h"

namespace tunproxy::socks5 {

// Look-up, connection and negotiation, one after the other.
class Client::Dial final : public net::Attempt {
 public:
  Dial(Client& client, std::optional<Request> request, net::Done<std::unique_ptr<net::Stream>> done)
      : client_(client), request_(std::move(request)), done_(std::move(done)) {
    if (client_.addresses_.empty()) {
      look_up();
    } else {
      dial();
    }
  }

 private:
  void look_up() {
    step_ =
        io::resolve(client_.loop_, client_.server_, [this](Result<std::vector<Endpoint>> found) {
          step_.reset();
          if (!found) return finish(client_.unreachable(found.error()));
          if (client_.addresses_.empty()) client_.addresses_ = std::move(*found);
          dial();
        });
  }

  void dial() {
    step_ = io::dial(client_.loop_, client_.addresses_, client_.options_.dial,
                     [this](Result<std::unique_ptr<io::TcpStream>> stream) {
                       step_.reset();
                       if (!stream) return finish(client_.unreachable(stream.error()));
                       client_.prefer((*stream)->peer());
                       negotiate(std::move(*stream));
                     });
  }

  void negotiate(std::unique_ptr<net::Stream> stream) {
    step_ =
        socks5::negotiate(client_.loop_, std::move(stream), request_, client_.options_.negotiate,
                          [this](Result<std::unique_ptr<net::Stream>> ready) {
                            step_.reset();
                            finish(std::move(ready));
                          });
  }

  // Last in every path: the attempt may be destroyed by its Done.
  void finish(Result<std::unique_ptr<net::Stream>> result) {
    std::exchange(done_, nullptr)(std::move(result));
  }

  Client& client_;
  const std::optional<Request> request_;
  net::Done<std::unique_ptr<net::Stream>> done_;
  std::unique_ptr<net::Attempt> step_;
};

Client::Client(io::Loop& loop, Target server, ClientOptions options)
    : loop_(loop), server_(std::move(server)), options_(std::move(options)) {
  assert(!options_.negotiate.credentials || options_.negotiate.credentials->check());
}

std::unique_ptr<net::Attempt> Client::probe(net::Done<void> done) {
  return std::make_unique<Dial>(*this, std::nullopt, [this, done = std::move(done)](auto stream) {
    if (!stream) return done(stream.error());
    loop_.retire(std::move(*stream));
    done({});
  });
}

std::unique_ptr<net::Attempt> Client::connect(const Target& target,
                                              net::Done<std::unique_ptr<net::Stream>> done) {
  const auto in_flow_terms = [done = std::move(done)](auto stream) {
    if (stream) return done(std::move(stream));
    Error error = stream.error();
    const bool of_server = error.code == ErrorCode::server_unreachable ||
                           error.code == ErrorCode::authentication_failed ||
                           error.code == ErrorCode::protocol;
    if (of_server) error.code = ErrorCode::host_unreachable;
    done(std::move(error));
  };
  return std::make_unique<Dial>(*this, Request{Command::connect, target}, in_flow_terms);
}

void Client::prefer(const Endpoint& address) {
  const auto found = std::find(addresses_.begin(), addresses_.end(), address);
  if (found != addresses_.end()) std::rotate(addresses_.begin(), found, found + 1);
}

Error Client::unreachable(const Error& cause) const {
  return {ErrorCode::server_unreachable,
          fmt::format("cannot reach the SOCKS5 server {}: {}", server_.to_string(), cause.message)};
}

}  // namespace tunproxy::socks5
