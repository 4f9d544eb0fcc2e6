// The command line of tunproxy-relay.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"
#include "core/base/time.h"

namespace tunproxy::relay {

struct Options {
  std::vector<Cidr> deny;  ///< destinations that get nothing
  Duration idle = 120s;    ///< then an association ends
  uint32_t max_associations = 256;
  std::optional<Endpoint> resolver;  ///< instead of those of /etc/resolv.conf
  bool stats = false;                ///< counters to stderr at the end
  std::optional<uint32_t> protocol;  ///< only asked whether we speak this version
  bool help = false;

  /// Error usage.
  static Result<Options> parse(const std::vector<std::string_view>& arguments);
  static std::string_view usage();
};

}  // namespace tunproxy::relay
