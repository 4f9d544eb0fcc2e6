// `tunproxy status`: asks a running tunproxy by its control socket and shows what it says.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"

namespace tunproxy::cli {

struct StatusOptions {
  std::string control;  ///< the socket; empty: that of the one tunproxy that this user runs
  bool json = false;
  bool watch = false;  ///< again each second, until it ends
  bool show_hosts = false;
  std::string help;  ///< set: to be printed instead
};

/// `arguments` behind the word "status". Error usage.
Result<StatusOptions> parse_status(std::vector<std::string> arguments);

/// Prints to standard output. Error general: there is no tunproxy to ask, or it does not answer;
/// usage: there are several, and none was named.
Result<void> show_status(const StatusOptions& options);

/// The JSON of a control socket, for people; `up` and `down` in bytes a second.
std::string status_text(const std::string& json, double up, double down);

}  // namespace tunproxy::cli
