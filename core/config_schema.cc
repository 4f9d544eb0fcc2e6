#include "core/config_schema.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/config_entry.h"

namespace tunproxy {
namespace {

struct Table {
  std::string_view group;
  std::string_view needs;
  std::vector<Setting> (*make)();
};

std::vector<Setting> all_settings() {
  const Table tables[] = {
      {"The way out (one of)", "", way_out_settings},
      {"SSH: the way to the server", "ssh", ssh_way_settings},
      {"SSH: logging in", "ssh", ssh_login_settings},
      {"SSH: logging in", "ssh", ssh_secret_settings},
      {"SSH: the server's key", "ssh", host_key_settings},
      {"SSH: algorithms (OpenSSH's names, with commas between)", "ssh", algorithm_settings},
      {"SOCKS5 server as the way out", "socks5", upstream_settings},
      {"The ways in: TUN", "", tun_settings},
      {"The ways in: SOCKS listener", "socks", listener_settings},
      {"UDP and names", "", datagram_settings},
      {"Rules", "", rule_settings},
      {"What happens, for you to see", "", account_settings},
      {"General", "", log_settings},
  };
  std::vector<Setting> all;
  for (const Table& table : tables) {
    for (Setting& setting : table.make()) {
      setting.group = table.group;
      if (setting.key != table.needs) setting.needs = table.needs;
      all.push_back(std::move(setting));
    }
  }
  return all;
}

std::string with_dashes(std::string_view key) {
  std::string name(key);
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

// How many letters must be put in, left out or replaced (Levenshtein).
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row.back();
}

}  // namespace

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all = all_settings();
  return all;
}

const Setting* find_setting(std::string_view key) {
  const std::string name = with_dashes(key);
  const auto found = std::find_if(settings().begin(), settings().end(),
                                  [&](const Setting& setting) { return setting.key == name; });
  return found == settings().end() ? nullptr : &*found;
}

std::string unknown_key(std::string_view key) {
  constexpr size_t kLongest = 64;
  const std::string name = with_dashes(key.substr(0, kLongest));
  const auto nearest = std::min_element(settings().begin(), settings().end(),
                                        [&](const Setting& a, const Setting& b) {
                                          return distance(name, a.key) < distance(name, b.key);
                                        });
  const std::string unknown = fmt::format("there is no key '{}'", name);
  const bool near = distance(name, nearest->key) <= std::max<size_t>(2, name.size() / 3);
  return near ? fmt::format("{}; is '{}' meant?", unknown, nearest->key) : unknown;
}

Result<void> set(Config& config, const Setting& setting, std::string_view text) {
  auto done = setting.set(config, text);
  if (done) return done;
  return Error{done.error().code, fmt::format("{}: {}", setting.key, done.error().message)};
}

Result<void> check_for_library(const Config& config) {
  const Config fresh;
  for (const Setting& setting : settings()) {
    if (setting.instead.empty() || setting.get(config) == setting.get(fresh)) continue;
    return Error{ErrorCode::usage,
                 fmt::format("{}: not in the library: {}", setting.key, setting.instead)};
  }
  return {};
}

Result<void> set(Config& config, std::string_view key, std::string_view text) {
  const Setting* setting = find_setting(key);
  if (setting == nullptr) return Error{ErrorCode::usage, unknown_key(key)};
  if (text.empty()) {
    setting->reset(config);
    return {};
  }
  return set(config, *setting, text);
}

}  // namespace tunproxy
