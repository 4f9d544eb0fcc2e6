// Looks for secrets in this process's memory.
#pragma once

#include <string>

#include "core/base/secret.h"

namespace tunproxy::testing {

/// A secret that the search does not find: the test keeps it so, as it must have a copy itself.
/// Twice gives the plain one.
std::string mask(std::string text);
Secret unmask(const std::string& masked);

/// How often it stands in the memory that this process can write to.
size_t count_in_memory(const std::string& masked);

}  // namespace tunproxy::testing
