// Which resolvers a resolv.conf names. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "core/base/address.h"

namespace tunproxy::dns {

inline constexpr uint16_t kPort = 53;

/// The nameserver lines of `text` in their order, without repetition, at port 53. Lines that are
/// anything else, or name no IP address, are passed over; a zone ("fe80::1%eth0") is dropped.
std::vector<Endpoint> parse_resolv_conf(std::string_view text);

}  // namespace tunproxy::dns
