#include "core/config.h"

#include <fmt/core.h>

#include <string_view>
#include <utility>

#include "core/dns/fake_table.h"

namespace tunproxy {
namespace {

Error usage(std::string message) {
  return {ErrorCode::usage, std::move(message)};
}

// What says how TLS is to be spoken must not be lost in silence where none is spoken.
Result<void> check_listener_tls(const ListenerTls& tls) {
  if (!tls.certificate.empty()) return {};
  if (!tls.client_ca.empty()) {
    return usage(
        "--socks-client-ca needs --socks-tls CERT:KEY: without TLS no client shows a "
        "certificate");
  }
  if (tls.minimum) {
    return usage("--socks-tls-minimum needs --socks-tls CERT:KEY: the listener speaks no TLS");
  }
  return {};
}

Result<void> check_upstream_tls(const Socks5Settings& socks5) {
  const std::pair<std::string_view, const std::string&> needing[] = {
      {"--socks5-ca", socks5.ca},
      {"--socks5-cert", socks5.certificate},
      {"--socks5-key", socks5.key},
      {"--socks5-name", socks5.name}};
  if (!socks5.server) return {};  // what a file says of it, and the command line chose SSH
  for (const auto& [option, value] : needing) {
    if (value.empty() || socks5.tls) continue;
    return usage(
        fmt::format("{} needs --socks5 tls://HOST:PORT: without tls:// everything goes in "
                    "clear",
                    option));
  }
  if (!socks5.key.empty() && socks5.certificate.empty()) {
    return usage("--socks5-key needs --socks5-cert, the certificate that it is the key of");
  }
  return {};
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
  if (listener.isolation != Isolation::none && !ssh.server) {
    return usage("--isolate is about SSH connections: it needs --ssh");
  }
  if (listener.isolation == Isolation::user && listener.users.empty()) {
    return usage("--isolate user needs users: add --socks-user NAME:FILE");
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
  if (!command.empty() && !(tun_name.empty() && routes.empty() && excluded.empty())) {
    return usage(
        "--tun, --route and --exclude do not go with -- COMMAND: its network has no other way out");
  }
  if (profile == Profile::mobile && listener.at && !listener.open && listener.users.empty() &&
      listener.tls.client_ca.empty()) {
    return usage(
        "--profile mobile: every app of a phone can reach the --socks listener, at 127.0.0.1 too: "
        "add --socks-user NAME:FILE, or --socks-open if that is meant");
  }
  if (auto good = check_listener_tls(listener.tls); !good) return good;
  if (auto good = check_upstream_tls(socks5); !good) return good;
  return {};
}

size_t Config::memory_budget() const {
  constexpr size_t kMegabyte = size_t{1024} * 1024;
  if (memory == 0 && profile == Profile::mobile) return kMobileMemory * kMegabyte;
  return memory * kMegabyte;
}

unsigned Config::most_sessions() const {
  return ssh.sessions.value_or(profile == Profile::mobile ? kMobileSessions : kDefaultSessions);
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
