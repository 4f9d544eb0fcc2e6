// Config: everything a tunnel can be told, in one place. Filled by core/config_schema.h from the
// command line, a file or the C API; the rest of the program reads it and nothing else.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/base/log.h"
#include "core/base/result.h"
#include "core/ssh/host_settings.h"

namespace tunproxy {

/// How datagrams are carried through an SSH server.
enum class UdpCarrier : uint8_t {
  automatic,  ///< what the server has, best first
  relay,      ///< the relay helper
  udpgw,      ///< a badvpn udpgw that listens at the server
  none,       ///< not at all: DNS goes over TCP, the rest is unreachable
};

/// Where names are resolved.
struct Names {
  std::optional<Endpoint> resolver;  ///< asked through the tunnel; default: the server's own
  bool fake = false;  ///< addresses of our own stand for names, which the far end resolves
};
/// "server", "fake" or "ADDR[:PORT]".
Result<Names> parse_names(std::string_view text);

/// An SSH server as it is named. What is not said comes from the user's ssh_config, else from the
/// defaults.
struct SshServer {
  std::string user;  ///< empty: not said
  Target server;     ///< a host or an alias of ssh_config; port 0: not said
};

/// An SSH server with nothing left to find out.
struct SshHost {
  std::string user;
  Target server;
  std::string name;           ///< as it was asked for
  std::string proxy_command;  ///< the way to it, of the first host at most; with tokens
  ssh::HostSettings login;
};

/// A proxy in front of the first SSH server.
struct ViaProxy {
  enum class Scheme : uint8_t { http, https, socks5 };
  Scheme scheme = Scheme::http;
  std::string user;  ///< empty: no authentication
  Target proxy;
};

/// Whether and what OpenSSH's client is asked for its configuration (`ssh -G`).
struct SshConfigUse {
  enum class Mode : uint8_t {
    automatic,  ///< the user's and the system's files, where `ssh` is installed
    file,       ///< this file alone
    none,
  };
  Mode mode = Mode::automatic;
  std::string file;
};

/// A password: in memory, or the first line of a file.
struct Password {
  std::optional<Secret> text;
  std::string file;

  bool given() const { return text.has_value() || !file.empty(); }
};

enum class TlsVersion : uint8_t { tls1_2, tls1_3 };

/// Who shares SSH connections with whom.
enum class Isolation : uint8_t {
  none,         ///< everybody
  user,         ///< one connection for each user of the listener
  destination,  ///< one connection for each destination
};

/// What becomes of a flow.
enum class RuleAction : uint8_t {
  allow,   ///< through the tunnel
  direct,  ///< outside the tunnel
  deny,
};

/// The SSH server and the way to it.
struct SshSettings {
  std::optional<SshServer> server;  ///< set: SSH is the way out
  std::optional<uint16_t> port;     ///< of a server that does not say its own
  SshConfigUse config;
  std::optional<std::vector<SshServer>> jump;  ///< empty: none; unset: as ssh_config says
  std::optional<std::string> proxy_command;    ///< empty: none; unset: as ssh_config says
  std::optional<ViaProxy> via;
  Password via_password;
  ssh::HostSettings login;  ///< at the server, and at the jumps but for password and alias
  std::string password_file;
  std::optional<unsigned> sessions;   ///< connections at the same time, at most
  std::optional<unsigned> keepalive;  ///< seconds between probes; default: kDefaultKeepalive

  /// The jumps in their order and then the server, with all that ssh_config says of them: made by
  /// resolve_ssh(), which also sets `keepalive`.
  std::vector<SshHost> path;
};

/// A SOCKS5 server as the way out.
struct Socks5Settings {
  std::optional<Target> server;  ///< set: it is the way out
  bool tls = false;              ///< the certificates and the name below need it
  std::string user;              ///< empty: no authentication
  Password password;
  std::string ca;           ///< file of certificates to trust; empty: the system's
  std::string certificate;  ///< ours, with its key
  std::string key;
  std::string name;        ///< that its certificate must have; empty: the host
  bool clear_udp = false;  ///< UDP, which TLS does not protect, is carried all the same
};

/// An account of the listener. What the file has: see socks5::load_user().
struct SocksUser {
  std::string name;
  std::string password_file;
};

/// TLS of the listener; it is plain if there is no certificate.
struct ListenerTls {
  std::string certificate;  ///< file of the chain
  std::string key;
  std::string client_ca;              ///< set: clients must show a certificate by it
  std::optional<TlsVersion> minimum;  ///< oldest that is spoken; default: 1.2
};

/// The listener for SOCKS5, SOCKS4 and HTTP CONNECT.
struct ListenerSettings {
  std::optional<Endpoint> at;  ///< no listener by default
  std::vector<SocksUser> users;
  bool open = false;  ///< clients that are not local need no password
  ListenerTls tls;
  bool clear_udp = false;  ///< with TLS, which does not protect it: UDP not only for this machine
  Isolation isolation = Isolation::none;
  unsigned connections = 16384;  ///< at the same time, at most
  unsigned connections_per_client = 4096;
};

/// Which flows are let through. The file's rules come before the ones given one by one.
struct RuleSettings {
  std::string file;
  std::vector<std::string> rules;
  std::vector<std::string> allowed_hosts;  ///< the simple form: these alone, on `allowed_ports`
  std::vector<std::string> allowed_ports;
  std::optional<RuleAction> otherwise;  ///< when none fits; default: as the file says, else allow
};

/// What the machine is like.
enum class Profile : uint8_t {
  desktop,
  mobile,  ///< little memory: a budget, and fewer connections
};

/// Who may see what happens.
struct AccountSettings {
  std::string control;              ///< Unix socket for `tunproxy status`
  std::optional<Endpoint> metrics;  ///< listener for Prometheus
  std::string access_log;
  bool access_log_hosts = false;  ///< destinations in clear, not hashed
};

struct Config {
  static constexpr uint16_t kDefaultSshPort = 22;
  static constexpr uint16_t kDefaultSocksPort = 1080;
  static constexpr uint16_t kDefaultUdpgwPort = 7300;
  static constexpr uint16_t kDnsPort = 53;
  static constexpr unsigned kDefaultKeepalive = 5;
  static constexpr unsigned kDefaultSessions = 4;
  static constexpr unsigned kMobileSessions = 2;
  static constexpr unsigned kMobileMemory = 5;    // megabytes
  static constexpr unsigned kSmallestMtu = 1280;  // IPv6 demands it (RFC 8200 §5)
  static constexpr unsigned kLargestMtu = 65535;

  // The way out: exactly one of these has a server.
  SshSettings ssh;
  Socks5Settings socks5;

  // The ways in.
  bool tun = true;
  std::string tun_name;  ///< empty: the first free tunproxyN
  uint16_t mtu = 1500;
  std::vector<Cidr> routes;  ///< empty: everything
  std::vector<Cidr> excluded;
  ListenerSettings listener;
  std::vector<std::string> command;  ///< run in a network of its own; empty: the whole machine

  UdpCarrier udp = UdpCarrier::automatic;
  std::optional<Target> udpgw;      ///< as the server sees it; default: its 127.0.0.1:7300
  unsigned udp_associations = 100;  ///< local ports that have a socket at the far end, at most
  unsigned udp_idle = 120;          ///< seconds after which an unused one is given up

  Names dns;
  RuleSettings rules;
  AccountSettings account;
  bool keep_trying = false;  ///< also when the first connection fails, as long as that may pass
  Profile profile = Profile::desktop;
  unsigned memory = 0;  ///< megabytes that buffers may take in all; 0: as the profile says

  std::optional<log::Level>
      log_level;         ///< default: info; warn with a command, whose terminal it is
  std::string log_file;  ///< empty: standard error

  /// Private addresses stand for names: as asked for, or because a SOCKS5 server resolves nothing
  /// but what it connects to.
  bool fake_names() const { return dns.fake || (tun && socks5.server && !dns.resolver); }
  /// Bytes that buffers may take in all; 0: no budget.
  size_t memory_budget() const;
  /// SSH connections at the same time, at most.
  unsigned most_sessions() const;
  /// `routes`, and where some are given also the blocks of the fake addresses, if there are any.
  std::vector<Cidr> tunnelled() const;

  /// What contradicts itself, as one line that says what to do.
  Result<void> check() const;
};

/// "[user@]host[:port]".
Result<SshServer> parse_ssh_server(std::string_view text);

}  // namespace tunproxy
