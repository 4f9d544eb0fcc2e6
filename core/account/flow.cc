#include "core/account/flow.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <ctime>

namespace tunproxy::account {

std::string_view to_string(Source source) {
  return source == Source::tun ? "tun" : "socks";
}

std::string_view to_string(Command command) {
  static constexpr std::array<std::string_view, 3> kNames = {"connect", "bind", "associate"};
  return kNames[static_cast<size_t>(command)];
}

std::string_view to_string(State state) {
  static constexpr std::array<std::string_view, 4> kNames = {"deciding", "opening", "open",
                                                             "ended"};
  return kNames[static_cast<size_t>(state)];
}

std::string time_text(std::chrono::system_clock::time_point at) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch());
  const std::time_t seconds = static_cast<std::time_t>(since.count() / 1000);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), since.count() % 1000);
}

std::string_view Ending::text() const {
  if (complete) return "complete";
  return error ? tunproxy::to_string(*error) : "closed";
}

}  // namespace tunproxy::account
