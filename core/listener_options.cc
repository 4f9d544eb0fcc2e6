#include "core/listener_options.h"

#include <utility>

namespace tunproxy {

Result<std::vector<socks5::User>> load_users(const ListenerSettings& settings) {
  std::vector<socks5::User> users;
  for (const SocksUser& each : settings.users) {
    Result<socks5::User> user = socks5::load_user(each.name, each.password_file);
    if (!user) return user.error();
    users.push_back(*std::move(user));
  }
  return users;
}

Result<socks5::ServerOptions> listener_options(const ListenerSettings& settings,
                                               const Endpoint& at) {
  Result<std::vector<socks5::User>> users = load_users(settings);
  if (!users) return users.error();
  const bool shows_certificates =
      !settings.tls.certificate.empty() && !settings.tls.client_ca.empty();
  const Result<void> safe =
      socks5::check_exposure(at, !users->empty() || shows_certificates, settings.open);
  if (!safe) return safe.error();
  socks5::ServerOptions options;
  options.users = *std::move(users);
  options.max_connections = settings.connections;
  options.max_per_client = settings.connections_per_client;
  return options;
}

}  // namespace tunproxy
