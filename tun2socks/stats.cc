#include "tun2socks/stats.h"

namespace tunproxy::tun2socks {

std::string_view to_string(Drop reason) {
  static constexpr std::array<std::string_view, kDropReasons> kNames = {
      "none",         "malformed",         "bad_checksum",   "bad_address", "multicast",
      "not_served",   "hop_limit",         "fragment_limit", "syn_limit",   "flow_limit",
      "memory_limit", "out_of_window",     "query_limit",    "unanswered",  "rate_limit",
      "device_full",  "association_limit", "opening_limit",  "too_large"};
  static_assert(!kNames.back().empty(), "a name for each reason");
  return kNames[static_cast<size_t>(reason)];
}

}  // namespace tunproxy::tun2socks
