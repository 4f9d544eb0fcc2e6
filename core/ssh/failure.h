// What a refused channel open means (RFC 4254 §5.1): the server's reason and text as an Error.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/error.h"

namespace tunproxy::ssh {

/// Servers give "connect failed" for all that their connect() can say, and the system's text for
/// it.
Error open_failure(uint32_t reason, std::string_view text);

}  // namespace tunproxy::ssh
