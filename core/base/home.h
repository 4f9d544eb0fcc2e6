// The user's home directory.
#pragma once

#include <string>
#include <string_view>

namespace tunproxy {

/// HOME, else what the system's accounts say; "/" where neither knows.
std::string home_directory();
/// "~" and "~/…" become paths below the home directory; all else stays.
std::string expand_home(std::string_view path);

}  // namespace tunproxy
