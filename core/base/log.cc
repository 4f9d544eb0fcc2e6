#include "core/base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <memory>
#include <utility>

namespace tunproxy::log {
namespace {

constexpr std::array<std::string_view, 6> kNames = {"trace", "debug", "info",
                                                    "warn",  "error", "off"};

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::trace:
      return spdlog::level::trace;
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warn:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
    case Level::off:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

// Set before the threads start that log; until then warnings go to stderr.
std::shared_ptr<spdlog::logger>& logger() {
  static std::shared_ptr<spdlog::logger> instance = [] {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    auto made = std::make_shared<spdlog::logger>("tunproxy", std::move(sink));
    made->set_level(spdlog::level::warn);
    made->set_pattern("tunproxy: %l: %v");
    return made;
  }();
  return instance;
}

thread_local std::shared_ptr<const Sink> own_sink;

}  // namespace

Result<Level> parse_level(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Level>(i);
  }
  return Error{ErrorCode::usage, fmt::format("'{}' is no log level: use trace, debug, info, warn, "
                                             "error or off",
                                             name)};
}

Result<void> configure(Level level, const std::string& file) {
  if (!file.empty()) {
    try {  // spdlog reports a file that it cannot open by throwing
      auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
      logger() = std::make_shared<spdlog::logger>("tunproxy", std::move(sink));
    } catch (const spdlog::spdlog_ex& failure) {
      return Error{ErrorCode::usage, failure.what()};
    }
    logger()->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    logger()->flush_on(spdlog::level::info);
  }
  logger()->set_level(to_spdlog(level));
  return {};
}

UseSink::UseSink(std::shared_ptr<const Sink> sink)
    : former_(std::exchange(own_sink, std::move(sink))) {}

UseSink::~UseSink() {
  own_sink = std::move(former_);
}

std::shared_ptr<const Sink> sink() {
  return own_sink;
}

bool enabled(Level level) {
  if (own_sink) return level >= own_sink->level;
  return logger()->should_log(to_spdlog(level));
}

void write(Level level, std::string_view line) {
  if (own_sink) return own_sink->write(level, line);
  logger()->log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace tunproxy::log
