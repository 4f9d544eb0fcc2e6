// The TUN interface itself: made, addressed and brought up. It lives as long as its descriptor.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"
#include "core/base/unique_fd.h"
#include "platform/linux/netlink.h"

namespace tunproxy::linux_host {

/// The tunnel's own addresses. IPv4 comes from the benchmark range (RFC 2544), which no real host
/// has; IPv6 is a ULA (RFC 4193), so that programs prefer IPv4 for targets that have both (RFC 6724
/// rule 6) — the far end of a tunnel often has no IPv6.
struct TunAddresses {
  IpAddress ipv4;
  IpAddress ipv6;
  IpAddress resolver;  ///< what resolv.conf shall name: the other address of the IPv4 network
  static constexpr uint8_t kIpv4Prefix = 30;
  static constexpr uint8_t kIpv6Prefix = 126;
};

/// The first pair of networks that overlaps none of `taken` (whose default routes do not count).
Result<TunAddresses> choose_addresses(const std::vector<Cidr>& taken);

struct TunInterface {
  UniqueFd fd;  ///< non-blocking, close-on-exec
  std::string name;
  int index = 0;
  uint16_t mtu = 0;
  bool vnet_header = false;  ///< packets carry struct virtio_net_hdr (10 bytes); else no offload
  bool ipv6 = false;         ///< false: IPv6 is absent or disabled here
  TunAddresses addresses;
};

inline constexpr const char* kDefaultTunName = "tunproxy0";

/// `wanted`, or for an empty one the first free of tunproxy0, tunproxy1 …; an Error if it exists or
/// is no name for an interface.
Result<std::string> choose_tun_name(const std::string& wanted);

/// Makes the TUN in the caller's network namespace, gives it its addresses and brings it up. No
/// routes but those of its own networks. Error no_permission, with what to do, when the system
/// forbids it.
Result<TunInterface> make_tun(Netlink& netlink, const std::string& name, uint16_t mtu,
                              const TunAddresses& addresses);

}  // namespace tunproxy::linux_host
