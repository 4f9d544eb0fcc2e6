// What there is to tell of a running tunnel, besides the account of its flows.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tunproxy::control {

/// A connection to the server.
struct SessionStatus {
  std::string name;   ///< what it is for: "streams 1", "datagrams"
  std::string state;  ///< "online", "reconnecting", …
  size_t flows = 0;   ///< that it carries now
  uint64_t up = 0;    ///< bytes of payload
  uint64_t down = 0;
  int64_t rtt_ms = -1;  ///< of the last probe; negative: none
};

struct TunnelStatus {
  std::string state;                 ///< "connecting", "online", "reconnecting", …
  std::string server;                ///< "SSH user@host:22", "SOCKS5 host:1080"
  std::vector<std::string> ways_in;  ///< "TUN tunproxy0", "SOCKS listener 127.0.0.1:1080"
  std::string carrier;               ///< of datagrams: "relay", "udpgw", "socks5", "none"
  std::string carrier_text;          ///< about it, for people: "carried by …; NAT: …"
  std::string resolver;              ///< who resolves names, for people: "by …"
  std::vector<SessionStatus> sessions;
  int64_t uptime_s = 0;
  uint64_t reconnects = 0;
  uint64_t access_log_lost = 0;  ///< lines
  uint64_t memory_used = 0;      ///< bytes in buffers, and what flows cost beside
  uint64_t memory_cap = 0;       ///< 0: none
  /// Dropped packets and datagrams by where and why ("tun/malformed", "socks_udp/stranger"), and
  /// replies to SOCKS requests by their code. Only what is not 0 has to be there.
  std::map<std::string, uint64_t> drops;
  void add_drops(const std::string& what, uint64_t count) {
    if (count > 0) drops[what] += count;
  }
  size_t udp_associations = 0;            ///< of the TUN, now
  std::map<std::string, uint64_t> udp{};  ///< what became of them, datagrams and DNS queries
  std::map<std::string, uint64_t> replies;
  /// What the listener counts, by group and kind: "connections" ("accepted", "late" …),
  /// "passwords", "languages", "commands". Only what is not 0 has to be there.
  std::map<std::string, std::map<std::string, uint64_t>> listener;
};

/// Implemented by whoever composes the tunnel.
class StatusSource {
 public:
  StatusSource() = default;
  StatusSource(const StatusSource&) = delete;
  StatusSource& operator=(const StatusSource&) = delete;
  virtual ~StatusSource() = default;

  virtual TunnelStatus status() const = 0;
};

}  // namespace tunproxy::control
