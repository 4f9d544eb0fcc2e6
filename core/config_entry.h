// Builds the schema's entries from a field of Config and the form of its value.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/config_schema.h"

namespace tunproxy {

/// The names of an entry; its group is filled in by the table.
struct Entry {
  std::string_view key;
  std::string_view value;
  std::string_view help;
};

/// `access` gives the field, a T or an optional<T>, of a Config&, const or not.
template <typename T, typename Access>
Setting one(const Entry& entry, Access access, Form<T> form) {
  Setting setting{entry.key, entry.value, entry.help, {}, form.kind};
  using Field = std::remove_reference_t<decltype(access(std::declval<Config&>()))>;
  setting.set = [access, parse = form.parse](Config& config, std::string_view text) {
    auto value = parse(text);
    if (!value) return Result<void>(value.error());
    if constexpr (std::is_same_v<Field, std::optional<T>>) {
      access(config).emplace(std::move(*value));
    } else {
      access(config) = std::move(*value);
    }
    return Result<void>();
  };
  setting.reset = [access](Config& config) {
    Config fresh;
    access(config) = std::move(access(fresh));
  };
  setting.get = [access, print = form.print](const Config& config) -> std::vector<std::string> {
    if constexpr (std::is_same_v<Field, std::optional<T>>) {
      if (!access(config)) return {};
      return {print(*access(config))};
    } else {
      std::string text = print(access(config));
      if (text.empty()) return {};
      return {std::move(text)};
    }
  };
  return setting;
}

/// For a vector<T>.
template <typename T, typename Access>
Setting many(const Entry& entry, Access access, Form<T> form) {
  Setting setting{entry.key, entry.value, entry.help, {}, form.kind, true};
  setting.set = [access, parse = form.parse](Config& config, std::string_view text) {
    auto value = parse(text);
    if (!value) return Result<void>(value.error());
    access(config).push_back(std::move(*value));
    return Result<void>();
  };
  setting.reset = [access](Config& config) { access(config).clear(); };
  setting.get = [access, print = form.print](const Config& config) {
    std::vector<std::string> texts;
    for (const T& value : access(config)) texts.push_back(print(value));
    return texts;
  };
  return setting;
}

/// Not for the command line, and never printed.
inline Setting secret(Setting setting) {
  setting.secret = true;
  setting.command_line = false;
  return setting;
}

/// Not in the library, which has `instead`.
inline Setting program_only(std::string_view instead, Setting setting) {
  setting.instead = instead;
  return setting;
}

inline Setting rival_of(std::string_view key, Setting setting) {
  setting.rival = key;
  return setting;
}

// The tables, each a part of settings().
std::vector<Setting> way_out_settings();
std::vector<Setting> ssh_way_settings();
std::vector<Setting> ssh_login_settings();
std::vector<Setting> ssh_secret_settings();
std::vector<Setting> host_key_settings();
std::vector<Setting> algorithm_settings();
std::vector<Setting> upstream_settings();
std::vector<Setting> tun_settings();
std::vector<Setting> datagram_settings();
std::vector<Setting> listener_settings();
std::vector<Setting> rule_settings();
std::vector<Setting> account_settings();
std::vector<Setting> log_settings();

}  // namespace tunproxy

// The accessor of a field: TUNPROXY_FIELD(listener.at).
#define TUNPROXY_FIELD(path)  \
  [](auto& config) -> auto& { \
    return config.path;       \
  }
