// What makes a TCP connection outlast a cut of the network.
#pragma once

#include "core/base/result.h"
#include "core/base/time.h"

namespace tunproxy::io {

/// Unacknowledged bytes are sent again at least each second (where the system can: Linux 6.15), so
/// that the connection goes on at once when the network is back; after `bound` of that it fails.
Result<void> persist(int fd, Duration bound);

}  // namespace tunproxy::io
