// Config: everything a tunnel can be told, in one place. Filled by the command line
// (tools/tunproxy); the rest of the program reads it and nothing else.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/base/log.h"
#include "core/base/result.h"
#include "core/ssh/host_key_policy.h"

namespace tunproxy {

/// How datagrams are carried through an SSH server.
enum class UdpCarrier : uint8_t {
  automatic,  ///< what the server has, best first
  relay,      ///< the relay helper
  udpgw,      ///< a badvpn udpgw that listens at the server
  none,       ///< not at all: DNS goes over TCP, the rest is unreachable
};
/// "auto", "relay", "udpgw", "none".
Result<UdpCarrier> parse_udp_carrier(std::string_view name);

/// Where names are resolved.
struct Names {
  std::optional<Endpoint> resolver;  ///< asked through the tunnel; default: the server's own
  bool fake = false;  ///< addresses of our own stand for names, which the far end resolves
};
/// "server", "fake" or "ADDR[:PORT]".
Result<Names> parse_names(std::string_view text);

struct SshServer {
  std::string user;
  Target server;
};

struct Config {
  static constexpr uint16_t kDefaultSshPort = 22;
  static constexpr uint16_t kDefaultSocksPort = 1080;
  static constexpr uint16_t kDefaultUdpgwPort = 7300;
  static constexpr uint16_t kDnsPort = 53;
  static constexpr unsigned kSmallestMtu = 1280;  // IPv6 demands it (RFC 8200 §5)
  static constexpr unsigned kLargestMtu = 65535;

  // The way out: exactly one of these.
  std::optional<SshServer> ssh;
  std::optional<Target> socks5;

  std::vector<std::string> identities;          ///< key files; empty: OpenSSH's default names
  std::vector<std::string> known_hosts;         ///< empty: OpenSSH's default files
  std::optional<ssh::HostKeyPolicy> host_keys;  ///< default: ask on a terminal, else strict

  // The ways in.
  bool tun = true;
  std::string tun_name;  ///< empty: the first free tunproxyN
  uint16_t mtu = 1500;
  std::vector<Cidr> routes;  ///< empty: everything
  std::vector<Cidr> excluded;
  std::optional<Endpoint> socks_listen;  ///< no listener by default
  std::vector<std::string> command;      ///< run in a network of its own; empty: the whole machine

  UdpCarrier udp = UdpCarrier::automatic;
  std::optional<Target> udpgw;      ///< as the server sees it; default: its 127.0.0.1:7300
  unsigned udp_associations = 100;  ///< local ports that have a socket at the far end, at most
  unsigned udp_idle = 120;          ///< seconds after which an unused one is given up

  Names dns;

  std::optional<log::Level>
      log_level;         ///< default: info; warn with a command, whose terminal it is
  std::string log_file;  ///< empty: standard error

  /// `routes`, and where some are given also the blocks of the fake addresses, if there are any.
  std::vector<Cidr> tunnelled() const;

  /// What contradicts itself, as one line that says what to do.
  Result<void> check() const;
};

/// "[user@]host[:port]"; the user defaults to `default_user`, the port to `default_port`.
Result<SshServer> parse_ssh_server(std::string_view text, const std::string& default_user,
                                   uint16_t default_port);

}  // namespace tunproxy
