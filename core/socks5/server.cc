#include "core/socks5/server.h"

#include <cassert>
#include <utility>

#include "core/base/log.h"
#include "core/socks5/server_connection.h"

namespace tunproxy::socks5 {

Server::Server(io::Loop& loop, net::Proxy& proxy, ServerOptions options)
    : loop_(loop), proxy_(proxy), options_(std::move(options)) {
  assert(!options_.required || options_.required->check());
}

Result<std::unique_ptr<Server>> Server::listen(io::Loop& loop, const Endpoint& at,
                                               net::Proxy& proxy, ServerOptions options) {
  auto server = std::make_unique<Server>(loop, proxy, std::move(options));
  auto listener = io::TcpListener::listen(
      loop, at, [self = server.get()](std::unique_ptr<io::TcpStream> client) {
        const ClientPath path{client->local(), client->peer()};
        self->serve(std::move(client), path);
      });
  if (!listener) return listener.error();
  server->listener_ = std::move(*listener);
  return server;
}

Server::~Server() = default;

void Server::serve(std::unique_ptr<net::Stream> client, std::optional<ClientPath> path) {
  const size_t count = connections_.size();
  if (count >= options_.max_connections + kMaxRefusals) {
    log::debug("SOCKS: a connection is closed unheard: {} are open", count);
    return loop_.retire(std::move(client));
  }
  const bool refuse = count >= options_.max_connections;
  auto connection = std::make_unique<ServerConnection>(*this, ++served_, std::move(client),
                                                       std::move(path), refuse);
  ServerConnection* key = connection.get();
  connections_.emplace(key, std::move(connection));
}

Endpoint Server::local() const {
  return listener_->local();
}

void Server::retire(ServerConnection* connection) {
  const auto found = connections_.find(connection);
  assert(found != connections_.end());
  loop_.retire(std::move(found->second));
  connections_.erase(found);
}

}  // namespace tunproxy::socks5
