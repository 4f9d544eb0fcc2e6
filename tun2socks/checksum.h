// The Internet checksum (RFC 1071), over bytes that come in parts.
#pragma once

#include <cstdint>

#include "core/base/bytes.h"

namespace tunproxy::tun2socks {

/// Adds up parts of any length, odd ones included, in the order in which they stand in the packet.
class ChecksumBuilder {
 public:
  void add(Bytes part);
  /// The pseudo-header of TCP, UDP and ICMPv6 (RFC 9293 §3.1, RFC 8200 §8.1). `source` and
  /// `destination` are 4 or 16 bytes; `length` counts the transport header and its payload.
  void add_pseudo_header(Bytes source, Bytes destination, uint8_t protocol, uint32_t length);

  /// The folded sum, for store_be16. Over bytes that contain a right checksum it is 0xffff.
  uint16_t sum() const;
  /// What belongs in the checksum field.
  uint16_t checksum() const { return static_cast<uint16_t>(~sum()); }

 private:
  uint64_t sum_ = 0;  // of words in the machine's byte order; folding commutes with swapping
  bool odd_ = false;
};

uint16_t checksum(Bytes bytes);

}  // namespace tunproxy::tun2socks
