// What a TCP packet of lwIP still needs before it leaves. For Stack only.
#pragma once

#include <span>

#include "tun2socks/packet_device.h"

namespace tunproxy::tun2socks {

struct OutgoingTcp {
  MutableBytes headers;          ///< the first part: IP and TCP header at least
  std::span<const Bytes> parts;  ///< all of it
  size_t length;
};

/// Puts the checksum in, or with `offloads` what the device needs to do it and to cut the packet
/// into segments of `mtu`; returns the latter.
Offload finish_tcp(const OutgoingTcp& packet, uint16_t mtu, bool offloads);

}  // namespace tunproxy::tun2socks
