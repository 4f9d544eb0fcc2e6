#include "core/account/flow.h"

#include <array>

namespace tunproxy::account {

std::string_view to_string(Source source) {
  return source == Source::tun ? "tun" : "socks";
}

std::string_view to_string(Command command) {
  static constexpr std::array<std::string_view, 3> kNames = {"connect", "bind", "associate"};
  return kNames[static_cast<size_t>(command)];
}

std::string_view to_string(State state) {
  static constexpr std::array<std::string_view, 3> kNames = {"deciding", "opening", "open"};
  return kNames[static_cast<size_t>(state)];
}

std::string_view Ending::text() const {
  if (complete) return "complete";
  return error ? tunproxy::to_string(*error) : "closed";
}

}  // namespace tunproxy::account
