// UdpTraffic: what both roles do with datagrams behind SOCKS5's header (RFC 1928 §7), and the
// account of it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/io/udp_socket.h"
#include "core/socks5/wire.h"

namespace tunproxy::socks5 {

/// Counted since the start. "Up" is towards the targets.
struct UdpStats {
  uint64_t opened = 0;   ///< associations
  uint64_t refused = 0;  ///< associations above the server's maximum
  uint64_t up = 0;
  uint64_t down = 0;

  // Dropped datagrams, each in one of these.
  uint64_t stranger = 0;    ///< from another address than the client's, or than the relay's
  uint64_t wrong_port = 0;  ///< from the client's address, but another port than it uses
  uint64_t malformed = 0;   ///< a header that is cut off or unknown, or an address of no use
  uint64_t fragment = 0;    ///< FRAG is not 0
  uint64_t too_long = 0;    ///< more than a datagram holds, SOCKS5's header included
  uint64_t early = 0;       ///< for a client whose port is not known yet
  uint64_t unsent = 0;      ///< the kernel did not take it
  uint64_t closed = 0;      ///< for an association that is over

  uint64_t dropped() const;
  /// Adds those that are not 0, each as "`where`/stranger".
  void tell_drops(const std::string& where, std::map<std::string, uint64_t>& to) const;
};

/// One for all associations of a Server or a Client, in whose loop thread it lives.
///
/// The header takes 10 bytes for an IPv4 address, 22 for IPv6 and 7 more than its length for a
/// name. A socket for IPv4 moves 65507 bytes with the header, one for IPv6 65527: over IPv6 a
/// payload of 65507 bytes fits behind an address of IPv4.
class UdpTraffic {
 public:
  /// The datagram in `wire`, whose bytes it points to; nullopt, and counted, if it is to be
  /// dropped.
  std::optional<Datagram> unwrap(Bytes wire);
  /// Sends `data` behind a header with `address`; false, and counted, if it could not.
  bool send(io::UdpSocket& socket, const Endpoint& peer, const Target& address, Bytes data);

  UdpStats stats;

 private:
  ByteVector wire_;
};

}  // namespace tunproxy::socks5
