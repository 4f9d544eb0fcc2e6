// File descriptors, of which the system grants a process only so many.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/result.h"

namespace tunproxy::io {

/// That are kept free for what is no new flow: refusals, a new connection to the server, and the
/// rest of the program. A quarter of what there is, where that is less.
inline constexpr size_t kReservedDescriptors = 128;

/// How many can be opened before the reserve is touched, nearly: the kernel hands out the lowest
/// free number. Negative: so many of the reserve are in use.
int64_t descriptors_left();
/// Error limit unless there is one for a new flow.
Result<void> check_descriptors();

}  // namespace tunproxy::io
