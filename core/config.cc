#include "core/config.h"

#include <fmt/core.h>

namespace tunproxy {
namespace {

Error usage(std::string message) {
  return {ErrorCode::usage, std::move(message)};
}

}  // namespace

Result<void> Config::check() const {
  if (ssh.has_value() == socks5.has_value()) {
    return usage("say where to go: either --ssh [user@]host or --socks5 HOST:PORT");
  }
  if (!ssh && !(identities.empty() && known_hosts.empty() && !host_keys)) {
    return usage("--identity, --known-hosts and --host-key-policy need --ssh");
  }
  if (!tun && !command.empty()) return usage("-- COMMAND needs the TUN: leave --no-tun out");
  if (!tun && !socks_listen) {
    return usage("--no-tun leaves nothing to do: add --socks ADDR:PORT");
  }
  if (!tun && !(tun_name.empty() && routes.empty() && excluded.empty())) {
    return usage("--tun, --route and --exclude contradict --no-tun");
  }
  if (!command.empty() && !excluded.empty()) {
    return usage("--exclude does not go with -- COMMAND: its network has no other way out");
  }
  return {};
}

Result<UdpCarrier> parse_udp_carrier(std::string_view name) {
  if (name == "auto") return UdpCarrier::automatic;
  if (name == "relay") return UdpCarrier::relay;
  if (name == "none") return UdpCarrier::none;
  return usage(fmt::format("'{}' carries no UDP: use auto, relay or none", name));
}

Result<SshServer> parse_ssh_server(std::string_view text, const std::string& default_user,
                                   uint16_t default_port) {
  const size_t at = text.rfind('@');  // a user name may contain one, a host may not
  const bool has_user = at != std::string_view::npos;
  std::string user = has_user ? std::string(text.substr(0, at)) : default_user;
  if (user.empty() || user.front() == '-') {
    return usage(fmt::format("'{}' is not [user@]host[:port]: the user is missing", text));
  }
  auto server = Target::parse(has_user ? text.substr(at + 1) : text, default_port);
  if (!server || server->host().front() == '-') {
    return usage(fmt::format("'{}' is not [user@]host[:port]", text));
  }
  return SshServer{std::move(user), *server};
}

}  // namespace tunproxy
