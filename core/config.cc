#include "core/config.h"

#include <fmt/core.h>

#include "core/dns/fake_table.h"

namespace tunproxy {
namespace {

Error usage(std::string message) {
  return {ErrorCode::usage, std::move(message)};
}

}  // namespace

Result<void> Config::check() const {
  if (ssh.server.has_value() == socks5.server.has_value()) {
    return usage("say where to go: either --ssh [user@]host or --socks5 HOST:PORT");
  }
  if (ssh.jump && !ssh.jump->empty() && ssh.proxy_command && !ssh.proxy_command->empty()) {
    return usage("--jump and --proxy-command are two ways to one server: choose");
  }
  if (ssh.via && ssh.proxy_command && !ssh.proxy_command->empty()) {
    return usage("--via and --proxy-command are two ways to one server: choose");
  }
  if (udpgw && !(ssh.server && (udp == UdpCarrier::automatic || udp == UdpCarrier::udpgw))) {
    return usage("--udpgw needs --ssh, and --udp auto or udpgw");
  }
  if (!tun && !command.empty()) return usage("-- COMMAND needs the TUN: leave --no-tun out");
  if (!tun && !listener.at) {
    return usage("--no-tun leaves nothing to do: add --socks ADDR:PORT");
  }
  if (!tun && !(tun_name.empty() && routes.empty() && excluded.empty())) {
    return usage("--tun, --route and --exclude contradict --no-tun");
  }
  if (!tun && dns.fake) {
    return usage("--dns fake answers programs through the TUN: it contradicts --no-tun");
  }
  if (!command.empty() && !excluded.empty()) {
    return usage("--exclude does not go with -- COMMAND: its network has no other way out");
  }
  return {};
}

std::vector<Cidr> Config::tunnelled() const {
  std::vector<Cidr> blocks = routes;
  if (fake_names() && !routes.empty()) {
    const std::vector<Cidr>& fake = dns::FakeTable::blocks();
    blocks.insert(blocks.end(), fake.begin(), fake.end());
  }
  return blocks;
}

Result<Names> parse_names(std::string_view text) {
  if (text == "server") return Names{};
  if (text == "fake") return Names{std::nullopt, true};
  const Result<Endpoint> resolver = Endpoint::parse(text, Config::kDnsPort);
  if (!resolver) {
    return usage(fmt::format("'{}' is neither server, fake nor ADDR[:PORT]", text));
  }
  return Names{*resolver, false};
}

Result<SshServer> parse_ssh_server(std::string_view text) {
  const size_t at = text.rfind('@');  // a user name may contain one, a host may not
  const bool has_user = at != std::string_view::npos;
  const std::string user(text.substr(0, has_user ? at : 0));
  if (has_user && (!Target::valid_name(user) || user.front() == '-')) {
    return usage(fmt::format("'{}' is not [user@]host[:port]: the user is missing", text));
  }
  const std::string_view place = has_user ? text.substr(at + 1) : text;
  auto server = Target::parse(place);
  if (!server) {  // without a port?
    server = Target::parse(place, Config::kDefaultSshPort);
    if (server) server = Target::from_host(server->host(), 0);
  }
  if (!server || server->host().front() == '-') {
    return usage(fmt::format("'{}' is not [user@]host[:port]", text));
  }
  return SshServer{user, *server};
}

}  // namespace tunproxy
