// Writing IP headers. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/bytes.h"

namespace tunproxy::tun2socks {

inline constexpr size_t kV4HeaderLength = 20;
inline constexpr size_t kV6HeaderLength = 40;

/// Writes the header of a packet from `source` to `destination` (both 4 or both 16 bytes), without
/// options, to `to` and returns its length. `payload_length` counts what stands behind it.
size_t write_ip_header(uint8_t* to, Bytes source, Bytes destination, uint8_t protocol,
                       size_t payload_length);

/// Starts a whole IP packet and leaves `payload_length` zero bytes for the payload.
ByteVector make_ip(Bytes source, Bytes destination, uint8_t protocol, size_t payload_length);

/// (Re)writes the checksum of an IPv4 header.
void put_ip_checksum(MutableBytes header);

}  // namespace tunproxy::tun2socks
