// The schema's keys of all but SSH.
#include <fmt/format.h>

#include "core/config_entry.h"

namespace tunproxy {
namespace {

constexpr unsigned kMany = 1'000'000;

// What the library has instead.
constexpr std::string_view kOwnDevice =
    "the program makes the interface and its routes, and hands it and its MTU to "
    "tunproxy_start_…()";
constexpr std::string_view kOwnCommand = "the program runs commands itself";
constexpr std::string_view kOwnLog = "the callback `log` gets the lines";

struct Upstream {
  bool tls = false;
  Target server;
};

Result<Upstream> parse_upstream(std::string_view text) {
  const bool tls = text.starts_with("tls://");
  if (tls) text.remove_prefix(6);
  auto server = Target::parse(text, Config::kDefaultSocksPort);
  if (!server) return server.error();
  return Upstream{tls, *server};
}

Setting socks5_setting() {
  Setting setting{"socks5", "[tls://]HOST[:PORT]", "SOCKS5 server"};
  setting.set = [](Config& config, std::string_view text) -> Result<void> {
    const auto upstream = parse_upstream(text);
    if (!upstream) return upstream.error();
    config.socks5.tls = upstream->tls;
    config.socks5.server = upstream->server;
    return {};
  };
  setting.reset = [](Config& config) {
    config.socks5.tls = false;
    config.socks5.server.reset();
  };
  setting.get = [](const Config& config) -> std::vector<std::string> {
    if (!config.socks5.server) return {};
    return {(config.socks5.tls ? "tls://" : "") + config.socks5.server->to_string()};
  };
  return setting;
}

// The last colon is the one between, so that the first path may have some.
Setting socks_tls_setting() {
  Setting setting{"socks-tls", "CERT:KEY", "Serve them over TLS, with these two PEM files"};
  setting.set = [](Config& config, std::string_view text) -> Result<void> {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) {
      return Error{ErrorCode::usage, fmt::format("'{}' is not CERT:KEY", text)};
    }
    const auto certificate = path_form().parse(text.substr(0, colon));
    const auto key = path_form().parse(text.substr(colon + 1));
    if (!certificate || !key) {
      return Error{ErrorCode::usage, fmt::format("'{}' is not CERT:KEY", text)};
    }
    config.listener.tls.certificate = *certificate;
    config.listener.tls.key = *key;
    return {};
  };
  setting.reset = [](Config& config) {
    config.listener.tls.certificate.clear();
    config.listener.tls.key.clear();
  };
  setting.get = [](const Config& config) -> std::vector<std::string> {
    const ListenerTls& tls = config.listener.tls;
    if (tls.certificate.empty()) return {};
    return {tls.certificate + ":" + tls.key};
  };
  return setting;
}

Setting no_tun_setting() {
  Setting setting{"no-tun", "", "No TUN: only the --socks listener"};
  setting.kind = ValueKind::flag;
  setting.set = [](Config& config, std::string_view text) -> Result<void> {
    const auto flag = flag_form().parse(text);
    if (!flag) return flag.error();
    config.tun = !*flag;
    return {};
  };
  setting.reset = [](Config& config) { config.tun = true; };
  setting.get = [](const Config& config) -> std::vector<std::string> {
    return {flag_form().print(!config.tun)};
  };
  return setting;
}

Form<RuleAction> action_form() {
  return word_form<RuleAction>(
      {{"allow", RuleAction::allow}, {"direct", RuleAction::direct}, {"deny", RuleAction::deny}});
}

Form<log::Level> level_form() {
  return word_form<log::Level>({{"trace", log::Level::trace},
                                {"debug", log::Level::debug},
                                {"info", log::Level::info},
                                {"warn", log::Level::warn},
                                {"error", log::Level::error},
                                {"off", log::Level::off}});
}

Setting command_setting() {
  Setting setting = many({"command", "WORD", "The command, word by word, as after --"},
                         TUNPROXY_FIELD(command), text_form());
  setting.command_line = false;
  setting.instead = kOwnCommand;
  return setting;
}

}  // namespace

std::vector<Setting> way_out_settings() {
  return {
      rival_of("socks5", one({"ssh", "[USER@]HOST[:PORT]",
                              "SSH server and account; HOST may be an alias of your ssh_config"},
                             TUNPROXY_FIELD(ssh.server), ssh_server_form())),
      rival_of("ssh", socks5_setting()),
  };
}

std::vector<Setting> upstream_settings() {
  return {
      one({"socks5-user", "NAME", "Log in there with this name"}, TUNPROXY_FIELD(socks5.user),
          text_form()),
      one({"socks5-password-file", "FILE", "Its first line is the password"},
          TUNPROXY_FIELD(socks5.password.file), path_form()),
      secret(one({"socks5-password", "TEXT", "The password"}, TUNPROXY_FIELD(socks5.password.text),
                 secret_form())),
      one({"socks5-ca", "FILE",
           "Trust the certificates of these authorities (default: the system's)"},
          TUNPROXY_FIELD(socks5.ca), path_form()),
      one({"socks5-cert", "FILE", "Show it this certificate"}, TUNPROXY_FIELD(socks5.certificate),
          path_form()),
      one({"socks5-key", "FILE", "The key of that certificate"}, TUNPROXY_FIELD(socks5.key),
          path_form()),
      one({"socks5-name", "NAME", "The name in the server's certificate (default: HOST)"},
          TUNPROXY_FIELD(socks5.name), text_form()),
      one({"socks5-clear-udp", "",
           "Carry UDP through a tls:// server: it crosses the net in clear"},
          TUNPROXY_FIELD(socks5.clear_udp), flag_form()),
  };
}

std::vector<Setting> tun_settings() {
  std::vector<Setting> device = {
      rival_of("no-tun",
               one({"tun", "NAME",
                    "Name of the TUN, of a whole machine (default: the first free tunproxyN)"},
                   TUNPROXY_FIELD(tun_name), text_form())),
      rival_of("tun", no_tun_setting()),
      one({"mtu", "N", "MTU of the TUN"}, TUNPROXY_FIELD(mtu),
          short_form(Config::kSmallestMtu, Config::kLargestMtu)),
      many({"route", "CIDR",
            "Of a whole machine: tunnel this block only (repeatable; default: everything, IPv4 and "
            "IPv6)"},
           TUNPROXY_FIELD(routes), cidr_form()),
      many({"exclude", "CIDR",
            "Of a whole machine: leave this block out of the tunnel (repeatable)"},
           TUNPROXY_FIELD(excluded), cidr_form()),
  };
  for (Setting& setting : device) setting.instead = kOwnDevice;
  device.push_back(command_setting());
  return device;
}

std::vector<Setting> listener_settings() {
  return {
      one({"socks", "ADDR:PORT",
           "Listen for SOCKS5, SOCKS4 and HTTP CONNECT clients (default: no listener)"},
          TUNPROXY_FIELD(listener.at), endpoint_form()),
      many({"socks-user", "NAME:FILE",
            "Ask clients for a name and a password; the FILE has lines NAME:HASH, or one line with "
            "a "
            "hash or the password (repeatable)"},
           TUNPROXY_FIELD(listener.users), socks_user_form()),
      one({"socks-open", "", "Ask nobody, though the listener can be reached from elsewhere"},
          TUNPROXY_FIELD(listener.open), flag_form()),
      socks_tls_setting(),
      one({"socks-client-ca", "FILE", "Demand a certificate that this authority gave the client"},
          TUNPROXY_FIELD(listener.tls.client_ca), path_form()),
      one({"socks-tls-minimum", "VERSION", "Oldest TLS that is spoken: 1.2 or 1.3 (default: 1.2)"},
          TUNPROXY_FIELD(listener.tls.minimum),
          word_form<TlsVersion>({{"1.2", TlsVersion::tls1_2}, {"1.3", TlsVersion::tls1_3}})),
      one({"socks-clear-udp", "",
           "With --socks-tls: UDP for other machines too, though it crosses the net in clear"},
          TUNPROXY_FIELD(listener.clear_udp), flag_form()),
      one({"isolate", "BY",
           "An SSH connection of its own for the TCP of each: none, user or destination"},
          TUNPROXY_FIELD(listener.isolation),
          word_form<Isolation>({{"none", Isolation::none},
                                {"user", Isolation::user},
                                {"destination", Isolation::destination}})),
      one({"max-connections", "N", "Clients' connections at the same time, at most"},
          TUNPROXY_FIELD(listener.connections), number_form(1, kMany)),
      one({"max-connections-per-client", "N", "The same, of one address"},
          TUNPROXY_FIELD(listener.connections_per_client), number_form(1, kMany)),
  };
}

std::vector<Setting> datagram_settings() {
  return {
      one({"udp", "CARRIER",
           "Carrier of UDP over SSH: relay (a helper that is run at the server), udpgw (one that "
           "listens there), none, or auto: the first of these that works"},
          TUNPROXY_FIELD(udp),
          word_form<UdpCarrier>({{"auto", UdpCarrier::automatic},
                                 {"relay", UdpCarrier::relay},
                                 {"udpgw", UdpCarrier::udpgw},
                                 {"none", UdpCarrier::none}})),
      one({"udpgw", "HOST[:PORT]", "badvpn udpgw, as the server sees it (default: 127.0.0.1:7300)"},
          TUNPROXY_FIELD(udpgw), target_form(Config::kDefaultUdpgwPort)),
      one({"udp-associations", "N", "Of the TUN: local ports with UDP at the same time, at most"},
          TUNPROXY_FIELD(udp_associations), number_form(1, 100)),
      one({"udp-idle", "SECONDS", "Of the TUN: seconds after which an unused one is given up"},
          TUNPROXY_FIELD(udp_idle), number_form(1, 86400)),
      one({"dns", "WHO",
           "Who resolves names: server (its own resolver; a SOCKS5 server as with fake), "
           "ADDR[:PORT] "
           "(that one, through the tunnel) or fake (private addresses stand for names, which the "
           "far end resolves on connecting)"},
          TUNPROXY_FIELD(dns), names_form()),
  };
}

std::vector<Setting> rule_settings() {
  return {
      one({"rules", "FILE", "Rules that say which flows are let through; the first that fits wins"},
          TUNPROXY_FIELD(rules.file), path_form()),
      many({"rule", "RULE", "One more, after the file's (repeatable)"}, TUNPROXY_FIELD(rules.rules),
           text_form()),
      many({"allowed-hosts", "HOST", "The simple form: these hosts alone (repeatable)"},
           TUNPROXY_FIELD(rules.allowed_hosts), text_form()),
      many({"allowed-ports", "PORTS", "And of them these ports alone (repeatable)"},
           TUNPROXY_FIELD(rules.allowed_ports), text_form()),
      one({"default-action", "ACTION", "When no rule fits: allow, direct or deny"},
          TUNPROXY_FIELD(rules.otherwise), action_form()),
  };
}

std::vector<Setting> account_settings() {
  return {
      one({"control", "SOCKET", "Unix socket for tunproxy status"}, TUNPROXY_FIELD(account.control),
          path_form()),
      one({"metrics", "ADDR:PORT", "Tell Prometheus what happens, over HTTP"},
          TUNPROXY_FIELD(account.metrics), endpoint_form()),
      one({"access-log", "FILE", "Append a line of JSON for each flow"},
          TUNPROXY_FIELD(account.access_log), path_form()),
      one({"access-log-hosts", "", "With the destinations in clear, not hashed"},
          TUNPROXY_FIELD(account.access_log_hosts), flag_form()),
      one({"profile", "MACHINE",
           "desktop, or mobile: little memory, with a budget (see memory) and fewer sessions"},
          TUNPROXY_FIELD(profile),
          word_form<Profile>({{"desktop", Profile::desktop}, {"mobile", Profile::mobile}})),
      one({"memory", "MB",
           "What all buffers may take; 0: as the profile says, which is no limit (desktop) or 5 "
           "(mobile)"},
          TUNPROXY_FIELD(memory), number_form(0, kMany)),
  };
}

std::vector<Setting> log_settings() {
  return {
      one({"log-level", "LEVEL",
           "trace, debug, info, warn, error or off (default: info; warn with -- COMMAND)"},
          TUNPROXY_FIELD(log_level), level_form()),
      one({"keep-trying", "",
           "Try again when the first connection fails, too, as a service does at boot; a refused "
           "key or login still ends it"},
          TUNPROXY_FIELD(keep_trying), flag_form()),
      program_only(kOwnLog,
                   one({"log-file", "FILE", "Append the log to FILE (default: standard error)"},
                       TUNPROXY_FIELD(log_file), path_form())),
  };
}

}  // namespace tunproxy
