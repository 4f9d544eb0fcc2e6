// A TUN interface as programs that embed the library hand it over.
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/base/unique_fd.h"

namespace tunproxy::linux_host {

/// Opens the interface `name` of the caller's network namespace, which is made if it is not there
/// and lasts as long as the descriptor then. Neither addresses nor routes are touched.
Result<UniqueFd> open_plain_tun(const std::string& name);

}  // namespace tunproxy::linux_host
