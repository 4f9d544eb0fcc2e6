// How long the machine has been suspended.
#pragma once

#include "core/base/time.h"

namespace tunproxy::io {

/// In all since it started; it grows when the machine wakes up. Clocks that the loop goes by stand
/// still meanwhile. Zero where the system does not tell.
Duration time_asleep();

}  // namespace tunproxy::io
