#include "tools/tunproxy/options.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

namespace tunproxy::cli {
namespace {

constexpr const char* kDescription =
    "Gives this machine, or one command, its network through an SSH account or a SOCKS5 server.\n\n"
    "  tunproxy --ssh user@host                       the whole machine (needs root)\n"
    "  tunproxy --ssh user@host -- COMMAND...         one command, without root\n"
    "  tunproxy --ssh user@host --no-tun --socks 127.0.0.1:1080\n"
    "                                                 a SOCKS5 listener, as ssh -D\n"
    "  tunproxy --socks5 proxy:1080                   the machine through any SOCKS5 server";

constexpr const char* kExitCodes =
    "Exit codes: 0 success, 1 failure, 2 usage, 3 host key refused, 4 authentication failed,\n"
    "5 cannot reach the server, 6 no permission for the TUN; with -- COMMAND that of the command\n"
    "(126 not executable, 127 not found, 128+N ended by signal N).";

// The options as text, before they are understood.
struct Words {
  std::string ssh, socks5, socks, dns;
  std::string host_key_policy, log_level, udp, udpgw;
  unsigned port = Config::kDefaultSshPort;
  unsigned mtu = 1500;
  std::vector<std::string> routes, excludes;
  bool no_tun = false;
  bool restore = false;
};

void declare_way_out(CLI::App& app, Words& words, Config& config) {
  const char* group = "The way out (one of)";
  app.add_option("--ssh", words.ssh, "SSH server and account")
      ->type_name("[USER@]HOST[:PORT]")
      ->group(group);
  app.add_option("--socks5", words.socks5, "SOCKS5 server")->type_name("HOST:PORT")->group(group);
  group = "SSH";
  app.add_option("--port", words.port, "Port of the SSH server")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str()
      ->type_name("N")
      ->group(group);
  app.add_option("--identity", config.ssh.login.identities,
                 "Private key (repeatable; default: the agent's keys and ~/.ssh/id_*)")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--known-hosts", config.ssh.login.known_hosts,
                 "File of known host keys (repeatable; default: ~/.ssh/known_hosts and "
                 "/etc/ssh/ssh_known_hosts)")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--host-key-policy", words.host_key_policy,
                 "Unknown host keys: strict, ask or accept-new (default: ask on a terminal, else "
                 "strict)")
      ->type_name("POLICY")
      ->group(group);
}

void declare_ways_in(CLI::App& app, Words& words, Config& config) {
  const char* group = "The ways in";
  app.add_option("--tun", config.tun_name, "Name of the TUN (default: the first free tunproxyN)")
      ->type_name("NAME")
      ->group(group);
  app.add_flag("--no-tun", words.no_tun, "No TUN: only the --socks listener")->group(group);
  app.add_option("--mtu", words.mtu, "MTU of the TUN")
      ->check(CLI::Range(Config::kSmallestMtu, Config::kLargestMtu))
      ->capture_default_str()
      ->type_name("N")
      ->group(group);
  app.add_option("--route", words.routes,
                 "Tunnel this block only (repeatable; default: everything, IPv4 and IPv6)")
      ->type_name("CIDR")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--exclude", words.excludes, "Leave this block out of the tunnel (repeatable)")
      ->type_name("CIDR")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--socks", words.socks, "Listen for SOCKS5 clients (default: no listener)")
      ->type_name("ADDR:PORT")
      ->group(group);
  app.add_option("--udp", words.udp,
                 "Carrier of UDP over SSH: relay (a helper that is run at the server), udpgw (one "
                 "that listens there), none, or auto (default: the first of these that works)")
      ->type_name("CARRIER")
      ->group(group);
  app.add_option("--udpgw", words.udpgw,
                 "badvpn udpgw, as the server sees it (default: 127.0.0.1:7300)")
      ->type_name("HOST[:PORT]")
      ->group(group);
  app.add_option("--udp-associations", config.udp_associations,
                 "Local ports with UDP through the tunnel at the same time, at most")
      ->check(CLI::Range(1, 100))
      ->capture_default_str()
      ->type_name("N")
      ->group(group);
  app.add_option("--udp-idle", config.udp_idle, "Seconds after which an unused one is given up")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str()
      ->type_name("SECONDS")
      ->group(group);
  app.add_option("--dns", words.dns,
                 "Who resolves names: server (its own resolver; with --socks5 the one that each "
                 "program asks), ADDR[:PORT] (that one, through the tunnel) or fake (private "
                 "addresses stand for names, which the far end resolves on connecting) (default: "
                 "server)")
      ->type_name("WHO")
      ->group(group);
}

void declare_general(CLI::App& app, Words& words, Config& config) {
  const char* group = "General";
  app.set_help_flag("--help,-h", "Show this")->group(group);
  app.set_version_flag("--version", "tunproxy " TUNPROXY_VERSION, "Show the version")->group(group);
  app.add_flag("--restore", words.restore, "Only put back what a crashed tunproxy left behind")
      ->group(group);
  app.add_option("--log-level", words.log_level,
                 "trace, debug, info, warn, error or off (default: info; warn with -- COMMAND)")
      ->type_name("LEVEL")
      ->group(group);
  app.add_option("--log-file", config.log_file, "Append the log to FILE (default: standard error)")
      ->type_name("FILE")
      ->group(group);
}

Error in_option(const char* option, const Error& error) {
  return {ErrorCode::usage, fmt::format("{}: {}", option, error.message)};
}

// Parses `text` with `parser` into `to`, if it was given.
template <typename To, typename Parser>
Result<void> understand(const char* option, const std::string& text, To& to, Parser parser) {
  if (text.empty()) return {};
  auto value = parser(text);
  if (!value) return in_option(option, value.error());
  to = std::move(*value);
  return {};
}

Result<void> understand_blocks(const char* option, const std::vector<std::string>& texts,
                               std::vector<Cidr>& to) {
  for (const std::string& text : texts) {
    auto block = Cidr::parse(text);
    if (!block) return in_option(option, block.error());
    to.push_back(*block);
  }
  return {};
}

Result<void> understand_all(const Words& words, const std::string& user, Config& config) {
  const Result<void> results[] = {
      understand("--ssh", words.ssh, config.ssh.server,
                 [](const auto& text) { return parse_ssh_server(text); }),
      understand("--socks5", words.socks5, config.socks5.server,
                 [](const auto& text) { return Target::parse(text, Config::kDefaultSocksPort); }),
      understand("--socks", words.socks, config.listener.at,
                 [](const auto& text) { return Endpoint::parse(text); }),
      understand("--dns", words.dns, config.dns,
                 [](const auto& text) { return parse_names(text); }),
      understand("--udp", words.udp, config.udp,
                 [](const auto& text) { return parse_udp_carrier(text); }),
      understand("--udpgw", words.udpgw, config.udpgw,
                 [](const auto& text) { return Target::parse(text, Config::kDefaultUdpgwPort); }),
      understand("--host-key-policy", words.host_key_policy, config.ssh.login.host_keys,
                 [](const auto& text) { return ssh::parse_host_key_policy(text); }),
      understand("--log-level", words.log_level, config.log_level,
                 [](const auto& text) { return log::parse_level(text); }),
      understand_blocks("--route", words.routes, config.routes),
      understand_blocks("--exclude", words.excludes, config.excluded),
  };
  for (const Result<void>& result : results) {
    if (!result) return result;
  }
  if (config.ssh.server) {
    auto& [name, server] = *config.ssh.server;
    if (name.empty()) name = user;
    if (server.port() == 0) {
      server = Target::from_host(server.host(), static_cast<uint16_t>(words.port));
    }
  }
  config.tun = !words.no_tun;
  config.mtu = static_cast<uint16_t>(words.mtu);
  return config.check();
}

// Everything behind "--" is the command's, options included.
std::vector<std::string> split_command(std::vector<std::string>& arguments) {
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  if (dashes == arguments.end()) return {};
  std::vector<std::string> command(dashes + 1, arguments.end());
  arguments.erase(dashes, arguments.end());
  return command;
}

}  // namespace

Result<Invocation> parse(std::vector<std::string> arguments, const std::string& user) {
  Invocation invocation;
  const bool has_dashes = std::find(arguments.begin(), arguments.end(), "--") != arguments.end();
  invocation.config.command = split_command(arguments);
  if (has_dashes && invocation.config.command.empty()) {
    return Error{ErrorCode::usage, "a command must follow --"};
  }
  CLI::App app(kDescription, "tunproxy");
  app.footer(kExitCodes);
  Words words;
  declare_way_out(app, words, invocation.config);
  declare_ways_in(app, words, invocation.config);
  declare_general(app, words, invocation.config);
  std::reverse(arguments.begin(), arguments.end());  // the order that CLI11 wants
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    return Invocation{Invocation::Action::print, {}, app.help()};
  } catch (const CLI::CallForVersion& version) {
    return Invocation{Invocation::Action::print, {}, std::string(version.what()) + "\n"};
  } catch (const CLI::ParseError& error) {
    return Error{ErrorCode::usage, error.what()};
  }
  if (words.restore) {
    invocation.action = Invocation::Action::restore;
    return invocation;
  }
  if (auto understood = understand_all(words, user, invocation.config); !understood) {
    return understood.error();
  }
  return invocation;
}

}  // namespace tunproxy::cli
