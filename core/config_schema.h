// The schema: every key of the configuration, once. From it come the command line's options
// (tools/tunproxy/options.h), the file (core/config_toml.h) and set(), each with the same names.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/config.h"
#include "core/config_form.h"

namespace tunproxy {

/// One key.
struct Setting {
  std::string_view key;    ///< "socks-tls"; on the command line "--socks-tls"
  std::string_view value;  ///< what follows, for people: "CERT:KEY"
  std::string_view help;
  std::string_view group{};
  ValueKind kind = ValueKind::text;
  bool list = false;
  bool secret = false;         ///< never printed
  bool command_line = true;    ///< else only in files and by set(), for nobody else to see
  std::string_view needs{};    ///< the key without which it means nothing
  std::string_view rival{};    ///< the key that this one overrides: there is one or the other
  std::string_view instead{};  ///< of a key that the library does not have: what it has

  /// Sets it, or adds one to a list. Errors name neither key nor place.
  std::function<Result<void>(Config&, std::string_view text)> set{};
  std::function<void(Config&)> reset{};  ///< to the default; a list to an empty one
  /// As set() takes them; empty: not set. For a secret one empty text, if it is set.
  std::function<std::vector<std::string>(const Config&)> get{};
};

/// In the order of the help. One for the process, immutable.
const std::vector<Setting>& settings();
/// '_' counts as '-'. Null: there is no such key.
const Setting* find_setting(std::string_view key);
/// "there is no 'sock'; is 'socks' meant?"
std::string unknown_key(std::string_view key);

/// Sets it, or adds one to a list. Errors name the key.
Result<void> set(Config& config, const Setting& setting, std::string_view text);
/// For the C API. Error usage: `config` sets a key that only the command line has.
Result<void> check_for_library(const Config& config);
/// For the C API: sets one key, or adds to a list, from text; empty text resets it. Errors name the
/// key.
Result<void> set(Config& config, std::string_view key, std::string_view text);

}  // namespace tunproxy
