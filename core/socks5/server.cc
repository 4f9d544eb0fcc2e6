#include "core/socks5/server.h"

#include <fmt/format.h>

#include <cassert>
#include <utility>

#include "core/base/log.h"
#include "core/socks5/server_connection.h"

namespace tunproxy::socks5 {

Result<void> check_exposure(const Endpoint& at, bool authenticates, bool open_on_purpose) {
  if (at.address.unmapped().is_loopback() || authenticates || open_on_purpose) return {};
  return Error{ErrorCode::usage,
               fmt::format("a SOCKS listener on {} would serve whoever can reach this machine: "
                           "demand a password (--socks-user NAME:FILE) or a certificate "
                           "(--socks-tls CERT:KEY --socks-client-ca FILE), listen on 127.0.0.1, "
                           "or say that this is meant (--socks-open)",
                           at.to_string())};
}

Server::Server(io::Loop& loop, ChooseWayOut choose, ServerOptions options)
    : loop_(loop),
      options_(std::move(options)),
      choose_(std::move(choose)),
      authenticator_(loop, std::exchange(options_.users, {})),
      idle_timer_(loop, [this] { end_idle(); }) {
  assert(options_.max_half_open > 0 && options_.max_half_open_per_client > 0);
}

Server::Server(io::Loop& loop, net::Proxy& proxy, ServerOptions options)
    : Server(loop, ChooseWayOut(), std::move(options)) {
  only_way_.proxy = &proxy;
}

Result<std::unique_ptr<Server>> Server::listen(io::Loop& loop, const Endpoint& at,
                                               ChooseWayOut choose, ServerOptions options) {
  auto server = std::make_unique<Server>(loop, std::move(choose), std::move(options));
  const Result<void> listening = server->listen_at(at);
  if (!listening) return listening.error();
  return server;
}

Result<std::unique_ptr<Server>> Server::listen(io::Loop& loop, const Endpoint& at,
                                               net::Proxy& proxy, ServerOptions options) {
  auto server = std::make_unique<Server>(loop, proxy, std::move(options));
  const Result<void> listening = server->listen_at(at);
  if (!listening) return listening.error();
  return server;
}

Result<void> Server::listen_at(const Endpoint& at) {
  auto listener = io::TcpListener::listen(
      loop_, at,
      [this](std::unique_ptr<io::TcpStream> client) {
        const ClientPath path{client->local(), client->peer()};
        serve(std::move(client), path);
      },
      [this](int fd) {
        // Does without where the system cannot.
        (void)io::notice_dead_peer(fd, options_.client_gone);
        return Result<void>();
      });
  if (!listener) return listener.error();
  listener_ = std::move(*listener);
  return {};
}

Server::~Server() = default;

void Server::serve(std::unique_ptr<net::Stream> client, std::optional<ClientPath> path) {
  std::optional<IpAddress> address;
  if (path) address = path->peer.address;
  auto connection = std::make_unique<ServerConnection>(*this, ++served_, std::move(client), path);
  ServerConnection* key = connection.get();
  auto ticket = admission_.admit(address, [key] { key->evict(); });
  if (!ticket) {
    log::debug("SOCKS: a connection is closed unheard: {} are open", connections_.size());
    if (options_.on_limit) options_.on_limit("more connections than can be answered");
    return loop_.retire(std::move(connection));
  }
  if (connections_.empty()) idle_timer_.start(options_.half_closed_idle);
  connections_.emplace(key, std::move(connection));
  key->start(std::move(ticket));
}

void Server::drop_quiet_udp(Duration quiet) {
  std::vector<ServerConnection*> all;  // they may go meanwhile, each by itself
  for (const auto& [connection, owner] : connections_) all.push_back(connection);
  for (ServerConnection* connection : all) connection->drop_quiet_udp(quiet);
}

Result<WayOut> Server::way_out(const ClientIdentity& client, const Request& request) const {
  if (!choose_) return only_way_;
  return choose_(client, request);
}

Endpoint Server::local() const {
  return listener_->local();
}

void Server::retire(ServerConnection* connection) {
  const auto found = connections_.find(connection);
  assert(found != connections_.end());
  loop_.retire(std::move(found->second));
  connections_.erase(found);
  if (connections_.empty()) idle_timer_.stop();
}

// For whoever runs the listener: clients are told little, and their people may not see even that.
// Others who knock there, and hang up, are of no interest.
void Server::on_insecure(const std::optional<ClientPath>& path, const Error& error) {
  ++stats_.insecure;
  const bool telling =
      error.code == ErrorCode::authentication_failed || error.code == ErrorCode::protocol;
  if (!telling || !complaints_.may_say(loop_.now())) return;
  log::info("SOCKS: a client{} is refused: {}{}",
            path ? " at " + path->peer.address.unmapped().to_string() : "", error.message,
            complaints_.kept_back());
}

void Server::end_idle() {
  std::vector<ServerConnection*> idle;
  for (const auto& [connection, owner] : connections_) {
    if (connection->is_half_closed_and_still()) idle.push_back(connection);
  }
  for (ServerConnection* connection : idle) connection->give_up();
  if (!connections_.empty()) idle_timer_.start(options_.half_closed_idle);
}

}  // namespace tunproxy::socks5
