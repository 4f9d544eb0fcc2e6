// Logging. Never payload or secrets; destinations only at debug.
//
// One logger for the process, to stderr or to a file; thread-safe. A thread that works for an
// embedding program has a Sink instead (UseSink). The format is {fmt}'s.
#pragma once

#include <fmt/core.h>

#include <functional>
#include <memory>
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

/// Takes the lines of the threads that use it. `write` may be called from several threads at once.
struct Sink {
  Level level = Level::info;  ///< the least that it takes
  std::function<void(Level level, std::string_view line)> write;
};
/// The lines of this thread go to `sink` while this lives; nullptr: to the process's logger.
class UseSink {
 public:
  explicit UseSink(std::shared_ptr<const Sink> sink);
  UseSink(const UseSink&) = delete;
  UseSink& operator=(const UseSink&) = delete;
  ~UseSink();

 private:
  std::shared_ptr<const Sink> former_;
};
/// This thread's, to hand it to another that works for it.
std::shared_ptr<const Sink> sink();

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
