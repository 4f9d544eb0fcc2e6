// What it means that a server closes a connection in place of its banner (RFC 4253 §4.2).
#pragma once

#include <string_view>

#include "core/base/error.h"
#include "core/base/time.h"

namespace tunproxy::ssh {

/// Such servers limit connections: OpenSSH's MaxStartups and PerSourcePenalties say so in a line of
/// text. `line`: what it said, may be empty. The code is server_unreachable.
Error turned_away(std::string_view line);

/// For how long to stay away after such an error; zeros after any other.
struct StayAway {
  Duration first{};    ///< at least, the first time
  Duration longest{};  ///< at most, after several times
  bool told = false;   ///< the server itself said so: the network is not the reason
};
StayAway stay_away(const Error& error);

}  // namespace tunproxy::ssh
