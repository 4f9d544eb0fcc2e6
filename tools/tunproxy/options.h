// The command line: words → Config.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config.h"

namespace tunproxy::cli {

/// What the command line asks for.
struct Invocation {
  enum class Action : uint8_t { run, restore, print };
  Action action = Action::run;
  Config config;
  std::string text;  ///< for `print`: the help or the version
};

/// `arguments` without the program's name; `user` is the default user name. An Error (code usage)
/// is one line that says what to do.
Result<Invocation> parse(std::vector<std::string> arguments, const std::string& user);

}  // namespace tunproxy::cli
