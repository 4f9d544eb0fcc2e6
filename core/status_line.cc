#include "core/status_line.h"

#include <fmt/format.h>

#include "core/base/log.h"

namespace tunproxy {
namespace {

constexpr const char* kNotWanted = "not carried, programs get port unreachable (--udp none)";

constexpr const char* kNotProtected =
    "not carried, programs get port unreachable (SOCKS5 over TLS leaves it in clear; "
    "--socks5-clear-udp carries it so)";

std::string list(const std::vector<Endpoint>& resolvers) {
  std::vector<std::string> names;
  for (const Endpoint& each : resolvers) {
    const bool usual = each.port == Config::kDnsPort;
    names.push_back(usual ? each.address.to_string() : each.to_string());
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

// Who is asked; empty: nobody.
std::string asked(const Config& config, const std::vector<Endpoint>& resolvers) {
  const std::string which = list(resolvers);
  if (config.dns.resolver || !config.ssh.server) return which;
  return which.empty() ? "the server's resolver" : fmt::format("the server's resolver ({})", which);
}

}  // namespace

std::string udp_text(const udp::Carrier* carrier) {
  if (carrier == nullptr) return kNotWanted;
  const std::string why = carrier->why_not();
  switch (carrier->state()) {
    case udp::Carrier::State::relay:
      return "carried by the relay helper at the server; NAT: full cone";
    case udp::Carrier::State::udpgw:
      return fmt::format("carried by the udpgw at {}; NAT: symmetric{}",
                         carrier->options().udpgw_at.to_string(),
                         why.empty() ? why : fmt::format(" ({})", why));
    case udp::Carrier::State::probing:
      return "waits: looking for what can carry it at the server";
    case udp::Carrier::State::off:
      break;
  }
  return fmt::format("not carried, programs get port unreachable ({})", why);
}

std::string udp_text(const udp::WatchedProxy* socks5, const Config& config) {
  if (socks5 == nullptr) {
    if (config.udp == UdpCarrier::none) return kNotWanted;
    return config.socks5.tls && !config.socks5.clear_udp ? kNotProtected : kNoConnectionYet;
  }
  switch (socks5->state()) {
    case udp::WatchedProxy::State::carried:
      return "carried by the SOCKS5 server's relay; NAT: as that makes it";
    case udp::WatchedProxy::State::refused:
      return fmt::format("not carried, programs get port unreachable (the SOCKS5 server: {})",
                         socks5->why_not());
    case udp::WatchedProxy::State::unknown:
      break;
  }
  const std::string& why = socks5->why_not();
  return fmt::format("the SOCKS5 server is asked whether it carries it{}",
                     why.empty() ? why : fmt::format(" ({}; the next program asks again)", why));
}

std::string names_text(const Config& config, const std::vector<Endpoint>& resolvers,
                       bool over_tcp) {
  const std::string whom = asked(config, resolvers);
  const std::string by =
      whom.empty() ? whom : fmt::format("by {}{}", whom, over_tcp ? " over TCP" : "");
  const bool by_connecting = config.fake_names() || by.empty();
  if (!by_connecting) return by;
  const std::string host = config.ssh.server ? "by the server as it connects to them"
                                             : "by the SOCKS5 server as it connects to them";
  return by.empty() ? host : fmt::format("{}; other questions {}", host, by);
}

void StatusLine::tell(const std::string& udp, const std::string& names, bool carried) {
  std::string line = fmt::format("UDP: {}; names: {}", udp, names);
  if (line == told_) return;
  if (carried) {
    log::info("{}", line);
  } else {
    log::warn("{}", line);
  }
  told_ = std::move(line);
}

}  // namespace tunproxy
