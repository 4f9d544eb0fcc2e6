#include "core/listener.h"

#include <fmt/format.h>

#include <utility>

#include "core/listener_options.h"

namespace tunproxy {
Result<std::unique_ptr<Listener>> Listener::open(io::Loop& loop, const Endpoint& at,
                                                 const ListenerSettings& settings,
                                                 Through through) {
  auto options = listener_options(settings, at);
  if (!options) return options.error();
  std::unique_ptr<Listener> listener(new Listener(settings, through));
  auto server = socks5::Server::listen(
      loop, at,
      [self = listener.get()](const socks5::ClientIdentity& client, const socks5::Request&) {
        return self->choose(client);
      },
      std::move(*options));
  if (!server) return server.error();
  listener->server_ = std::move(*server);
  return listener;
}

Result<socks5::WayOut> Listener::choose(const socks5::ClientIdentity& client) {
  GatedWay& way = way_of(client.user);
  socks5::WayOut out;
  out.proxy = &way.streams();
  out.datagrams = way.datagrams();
  return out;
}

// The users are those of the configuration, so that there are not too many.
GatedWay& Listener::way_of(const std::string& user) {
  auto& way = ways_[user];
  if (!way) {
    const bool own = settings_.isolation == Isolation::user && !user.empty();
    way = std::make_unique<GatedWay>(through_.keeper, gate::Who{account::Source::socks, user},
                                     own ? through_.out.streams_of(user) : through_.out.streams(),
                                     through_.out.datagrams(), through_.fakes);
  }
  return *way;
}

Result<void> Listener::reload() {
  auto users = load_users(settings_);
  if (!users) return users.error();
  server_->set_users(std::move(*users));
  return {};
}

void Listener::describe(control::TunnelStatus& status) const {
  status.ways_in.push_back("SOCKS listener " + local().to_string());
  const socks5::ServerStats& stats = server_->stats();
  for (size_t code = 0; code < stats.replies.size(); ++code) {
    if (stats.replies[code] > 0) status.replies[fmt::format("{:02}", code)] = stats.replies[code];
  }
}

}  // namespace tunproxy
