// The command line: words → Config.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config.h"

namespace tunproxy::cli {

/// What the command line asks for.
struct Invocation {
  enum class Action : uint8_t { run, print_config, restore, print };
  Action action = Action::run;
  Config config;
  std::string text;  ///< for `print`: the help or the version
};

/// `arguments` without the program's name; reads the --config file, if one is named. An Error (code
/// usage) is one line that says what to do.
Result<Invocation> parse(std::vector<std::string> arguments);

}  // namespace tunproxy::cli
