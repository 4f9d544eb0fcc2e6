#include "core/socks5/client.h"

#include <fmt/format.h>

#include <cassert>
#include <utility>

#include "core/socks5/client_association.h"
#include "core/socks5/client_bind.h"

namespace tunproxy::socks5 {
namespace {

// The connection of an association carries nothing, that of a BIND nothing for a while: probes keep
// it open on the way, and find its end.
constexpr Duration kDeadAfter = 90s;

// In the terms of a flow, a server that is of no use is a host that cannot be reached.
Error in_flow_terms(Error error) {
  const bool of_server = error.code == ErrorCode::server_unreachable ||
                         error.code == ErrorCode::authentication_failed ||
                         error.code == ErrorCode::protocol;
  if (of_server) error.code = ErrorCode::host_unreachable;
  return error;
}

}  // namespace

// Connection and negotiation, one after the other.
class Client::Dial final : public net::Attempt {
 public:
  using Outcome = Result<ClientAssociation::Agreed>;

  Dial(Client& client, std::optional<Request> request, std::function<void(Outcome)> done)
      : client_(client), request_(std::move(request)), done_(std::move(done)) {
    step_ = client_.server_.dial([this](Result<std::unique_ptr<io::TcpStream>> stream) {
      step_.reset();
      if (!stream) return finish(client_.unreachable(stream.error()));
      secure(std::move(*stream));
    });
  }

 private:
  void secure(std::unique_ptr<io::TcpStream> stream) {
    if (request_ && request_->command != Command::connect) {
      (void)io::notice_dead_peer(stream->fd(), kDeadAfter);  // does without where the system cannot
    }
    local_ = stream->local();
    server_ = stream->peer();
    if (!client_.options_.secure) return negotiate(std::move(stream));
    step_ = client_.options_.secure(std::move(stream), [this](auto secured) {
      step_.reset();
      if (!secured) return finish(client_.unreachable(secured.error()));
      negotiate(std::move(*secured));
    });
  }

  void negotiate(std::unique_ptr<net::Stream> stream) {
    step_ = socks5::negotiate(
        client_.loop_, std::move(stream), request_, client_.options_.negotiate,
        [this](Result<Negotiated> ready) {
          step_.reset();
          if (!ready) return finish(ready.error());
          finish(ClientAssociation::Agreed{std::move(ready->stream), std::move(ready->bound),
                                           local_, server_});
        });
  }

  // Last in every path: the attempt may be destroyed by its Done.
  void finish(Outcome result) { std::exchange(done_, nullptr)(std::move(result)); }

  Client& client_;
  const std::optional<Request> request_;
  std::function<void(Outcome)> done_;
  Endpoint local_;
  Endpoint server_;
  std::unique_ptr<net::Attempt> step_;
};

// A Dial, and then the wait for the second reply.
class Client::Bind final : public net::Attempt {
 public:
  Bind(Client& client, const net::Expected& expected, net::OnBound on_bound,
       net::Done<net::Accepted> done)
      : client_(client),
        may_come_(expected.may_come),
        on_bound_(std::move(on_bound)),
        done_(std::move(done)) {
    step_ = std::make_unique<Dial>(client_, Request{Command::bind, expected.from},
                                   [this](Dial::Outcome ready) { on_agreed(std::move(ready)); });
  }

 private:
  void on_agreed(Dial::Outcome ready) {
    step_.reset();
    if (!ready) return std::exchange(done_, nullptr)(in_flow_terms(ready.error()));
    const Result<Endpoint> listening = listening_of(ready->bound, ready->server);
    if (!listening) {
      client_.loop_.retire(std::move(ready->control));
      return std::exchange(done_, nullptr)(in_flow_terms(listening.error()));
    }
    step_ = std::make_unique<ClientBind>(client_.loop_, std::move(ready->control),
                                         [this](auto peer) { on_accepted(std::move(peer)); });
    on_bound_(*listening);  // last: the attempt may be destroyed by it
  }

  // The server waits for no other: a BIND of SOCKS5 ends with the first that comes.
  void on_accepted(Result<net::Accepted> peer) {
    step_.reset();
    if (peer && may_come_ && !may_come_(peer->peer.address)) {
      client_.loop_.retire(std::move(peer->stream));
      peer = Error{ErrorCode::not_allowed, "somebody else came than who may"};
    }
    if (!peer) peer = in_flow_terms(peer.error());
    std::exchange(done_, nullptr)(std::move(peer));
  }

  Client& client_;
  const std::function<bool(const IpAddress& peer)> may_come_;
  net::OnBound on_bound_;
  net::Done<net::Accepted> done_;
  std::unique_ptr<net::Attempt> step_;
};

Client::Client(io::Loop& loop, Target server, ClientOptions options)
    : loop_(loop), server_(loop, std::move(server), options.dial), options_(std::move(options)) {
  assert(!options_.negotiate.account || options_.negotiate.account->check());
}

std::unique_ptr<net::Attempt> Client::probe(net::Done<void> done) {
  return std::make_unique<Dial>(*this, std::nullopt, [this, done = std::move(done)](auto ready) {
    if (!ready) return done(ready.error());
    loop_.retire(std::move(ready->control));
    done({});
  });
}

std::unique_ptr<net::Attempt> Client::connect(const Target& target,
                                              net::Done<std::unique_ptr<net::Stream>> done) {
  return std::make_unique<Dial>(
      *this, Request{Command::connect, target}, [this, done = std::move(done)](auto ready) {
        if (ready) return done(std::move(ready->control));
        done(options_.in_front ? ready.error() : in_flow_terms(ready.error()));
      });
}

std::unique_ptr<net::Attempt> Client::bind(const net::Expected& expected, net::OnBound on_bound,
                                           net::Done<net::Accepted> done) {
  return std::make_unique<Bind>(*this, expected, std::move(on_bound), std::move(done));
}

std::unique_ptr<net::Attempt> Client::associate(
    net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
    net::Done<std::unique_ptr<net::DatagramSession>> done) {
  // Zeros: the port is not bound yet, and an address translation may make it another.
  return std::make_unique<Dial>(
      *this, Request{Command::udp_associate, {}},
      [this, on_datagram = std::move(on_datagram), on_closed = std::move(on_closed),
       done = std::move(done)](Dial::Outcome ready) {
        if (!ready) return done(in_flow_terms(ready.error()));
        auto session = ClientAssociation::open(loop_, traffic_, std::move(*ready),
                                               options_.dial.prepare, on_datagram, on_closed);
        if (!session) return done(in_flow_terms(session.error()));
        done(std::move(*session));
      });
}

Error Client::unreachable(const Error& cause) const {
  if (cause.code == ErrorCode::limit) return cause;
  return {ErrorCode::server_unreachable, fmt::format("cannot reach the SOCKS5 server {}: {}",
                                                     server_.target().to_string(), cause.message)};
}

}  // namespace tunproxy::socks5
