#include "tools/tunproxy/options.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "core/config_schema.h"
#include "core/config_toml.h"

namespace tunproxy::cli {
namespace {

constexpr const char* kDescription =
    "Gives this machine, or one command, its network through an SSH account or a SOCKS5 server.\n\n"
    "  tunproxy --ssh user@host                       the whole machine (needs root)\n"
    "  tunproxy --ssh user@host -- COMMAND...         one command, without root\n"
    "  tunproxy --ssh user@host --no-tun --socks 127.0.0.1:1080\n"
    "                                                 a SOCKS5 listener, as ssh -D\n"
    "  tunproxy --socks5 proxy:1080                   the machine through any SOCKS5 server";

constexpr const char* kExitCodes =
    "Exit codes: 0 success, 1 failure, 2 usage, 3 host key refused, 4 authentication failed,\n"
    "5 cannot reach the server, 6 no permission for the TUN, 128+N ended by signal N before the\n"
    "tunnel was up; with -- COMMAND that of the command (126 not executable, 127 not found).";

// Options that are no part of the configuration.
struct General {
  std::string config_file;
  bool print_config = false;
  bool restore = false;
};

void declare_general(CLI::App& app, General& general) {
  const char* group = "General";
  app.set_help_flag("--help,-h", "Show this")->group(group);
  app.set_version_flag("--version", "tunproxy " TUNPROXY_VERSION, "Show the version")->group(group);
  app.add_option("--config", general.config_file,
                 "Read this TOML file first; the command line overrides it")
      ->type_name("FILE")
      ->group(group);
  app.add_flag("--print-config", general.print_config,
               "Only show what is configured, secrets left out, as --config reads it")
      ->group(group);
  app.add_flag("--restore", general.restore, "Only put back what a crashed tunproxy left behind")
      ->group(group);
}

std::string default_text(const Setting& setting) {
  const std::vector<std::string> texts = setting.get(Config{});
  return texts.size() == 1 && setting.kind != ValueKind::flag ? texts.front() : "";
}

CLI::Option* declare(CLI::App& app, const Setting& setting) {
  const std::string name = "--" + std::string(setting.key);
  const std::string help(setting.help);
  const auto keep = [](const CLI::results_t&) { return true; };
  CLI::Option* option = nullptr;
  if (setting.kind == ValueKind::flag) {
    option = app.add_flag(name, help);
  } else {
    option = app.add_option(name, keep, help, true, [&] { return default_text(setting); });
    option->type_name(std::string(setting.value));
    if (setting.list) {
      option->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args(false);
    }
  }
  option->group(std::string(setting.group));
  return option;
}

struct Given {
  const Setting* setting;
  std::vector<std::string> texts;
};

Result<void> has_what_it_needs(const Config& config, const std::vector<Given>& given) {
  for (const auto& [setting, texts] : given) {
    const Setting* needed = find_setting(setting->needs);
    if (needed == nullptr || !needed->get(config).empty()) continue;
    return Error{ErrorCode::usage, fmt::format("--{} needs --{}", setting->key, needed->key)};
  }
  return {};
}

// What was given replaces what a file says, also what it says of the opposite.
Result<void> apply(Config& config, const std::vector<Given>& given) {
  for (const auto& [setting, texts] : given) {
    const auto is_rival = [rival = setting->rival](const Given& other) {
      return other.setting->key == rival;
    };
    setting->reset(config);
    if (setting->rival.empty() || std::any_of(given.begin(), given.end(), is_rival)) continue;
    find_setting(setting->rival)->reset(config);
  }
  for (const auto& [setting, texts] : given) {
    for (const std::string& text : texts) {
      if (auto done = setting->set(config, text); !done) {
        return Error{ErrorCode::usage, fmt::format("--{}: {}", setting->key, done.error().message)};
      }
    }
  }
  return has_what_it_needs(config, given);
}

// Everything behind "--" is the command's, options included.
std::vector<std::string> split_command(std::vector<std::string>& arguments) {
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  if (dashes == arguments.end()) return {};
  std::vector<std::string> command(dashes + 1, arguments.end());
  arguments.erase(dashes, arguments.end());
  return command;
}

Result<Invocation> interpret(const General& general, const std::vector<Given>& given,
                             std::vector<std::string> command) {
  Invocation invocation;
  Config& config = invocation.config;
  if (general.restore) {
    invocation.action = Invocation::Action::restore;
    return invocation;
  }
  if (!general.config_file.empty()) {
    if (auto merged = merge_toml_file(config, general.config_file); !merged) return merged.error();
  }
  if (auto applied = apply(config, given); !applied) return applied.error();
  if (!command.empty()) config.command = std::move(command);
  if (auto checked = config.check(); !checked) return checked.error();
  if (general.print_config) invocation.action = Invocation::Action::print_config;
  return invocation;
}

}  // namespace

Result<Invocation> parse(std::vector<std::string> arguments) {
  const bool has_dashes = std::find(arguments.begin(), arguments.end(), "--") != arguments.end();
  std::vector<std::string> command = split_command(arguments);
  if (has_dashes && command.empty()) return Error{ErrorCode::usage, "a command must follow --"};
  CLI::App app(kDescription, "tunproxy");
  app.footer(kExitCodes);
  std::vector<std::pair<const Setting*, CLI::Option*>> options;
  for (const Setting& setting : settings()) {
    if (setting.command_line) options.emplace_back(&setting, declare(app, setting));
  }
  General general;
  declare_general(app, general);
  std::reverse(arguments.begin(), arguments.end());  // the order that CLI11 wants
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    return Invocation{Invocation::Action::print, {}, app.help()};
  } catch (const CLI::CallForVersion& version) {
    return Invocation{Invocation::Action::print, {}, std::string(version.what()) + "\n"};
  } catch (const CLI::ParseError& error) {
    return Error{ErrorCode::usage, error.what()};
  }
  std::vector<Given> given;
  for (const auto& [setting, option] : options) {
    if (option->count() > 0) given.push_back({setting, option->results()});
  }
  return interpret(general, given, std::move(command));
}

}  // namespace tunproxy::cli
