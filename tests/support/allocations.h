// Counts what the program allocates. Its source replaces operator new, so it is linked into the few
// programs that ask, and belongs to no library.
#pragma once

#include <cstddef>

namespace tunproxy::testing {

/// Bytes that are allocated now by operator new, an allocator's own share of each included.
size_t allocated();

}  // namespace tunproxy::testing
