// Logging. Never payload or secrets; destinations only at debug.
//
// One logger for the process, to stderr or to a file; thread-safe. The format is {fmt}'s.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>

#include "core/base/result.h"

namespace tunproxy::log {

enum class Level : int { trace, debug, info, warn, error, off };

/// "trace", "debug", "info", "warn", "error", "off".
Result<Level> parse_level(std::string_view name);
/// `file` empty: stderr. Fails if the file cannot be opened for appending.
Result<void> configure(Level level, const std::string& file);
bool enabled(Level level);
void write(Level level, std::string_view line);

template <typename... Args>
void emit(Level level, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(level)) write(level, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  emit(Level::debug, format, std::forward<Args>(args)...);
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  emit(Level::info, format, std::forward<Args>(args)...);
}
template <typename... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  emit(Level::warn, format, std::forward<Args>(args)...);
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  emit(Level::error, format, std::forward<Args>(args)...);
}

}  // namespace tunproxy::log
