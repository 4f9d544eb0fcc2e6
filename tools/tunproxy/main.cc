#include <fmt/core.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "core/config_ssh.h"
#include "core/config_toml.h"
#include "core/control/control_server.h"
#include "core/control/unix_listener.h"
#include "platform/linux/host_network.h"
#include "tools/tunproxy/options.h"
#include "tools/tunproxy/program.h"
#include "tools/tunproxy/status.h"

namespace tunproxy::cli {
namespace {

int complain(const Error& error) {
  fmt::print(stderr, "tunproxy: {}\n", error.message);
  return exit_code_for(error);
}

std::string user_name() {
  const passwd* entry = ::getpwuid(::getuid());
  return entry != nullptr ? entry->pw_name : std::string();
}

int restore() {
  control::remove_stale_sockets(control::control_folder());
  const auto report = linux_host::restore_leftovers();
  if (!report) return complain(report.error());
  for (const std::string& line : report->restored) fmt::print("put back: {}\n", line);
  for (const std::string& line : report->failed)
    fmt::print(stderr, "tunproxy: not put back: {}\n", line);
  if (report->restored.empty() && report->failed.empty()) fmt::print("nothing to put back\n");
  return report->failed.empty() ? 0 : 1;
}

Result<void> prepare(Config& config) {
  const auto level =
      config.log_level.value_or(config.command.empty() ? log::Level::info : log::Level::warn);
  if (auto configured = log::configure(level, config.log_file); !configured) return configured;
  return resolve_ssh(config, user_name());
}

int run(Config config) {
  if (auto prepared = prepare(config); !prepared) return complain(prepared.error());
  control::remove_stale_sockets(control::control_folder());
  return Program(std::move(config)).run();
}

int print_config(Config config) {
  if (auto prepared = prepare(config); !prepared) return complain(prepared.error());
  fmt::print("{}{}", print_toml(config), describe_path(config));
  return 0;
}

int status(std::vector<std::string> arguments) {
  const auto options = parse_status(std::move(arguments));
  if (!options) return complain(options.error());
  if (!options->help.empty()) {
    fmt::print("{}", options->help);
    return 0;
  }
  const auto shown = show_status(*options);
  return shown ? 0 : complain(shown.error());
}

int main(std::vector<std::string> arguments) {
  if (!arguments.empty() && arguments[0] == "status") {
    return status({arguments.begin() + 1, arguments.end()});
  }
  auto invocation = parse(std::move(arguments));
  if (!invocation) {
    return complain({ErrorCode::usage, invocation.error().message + " (see tunproxy --help)"});
  }
  switch (invocation->action) {
    case Invocation::Action::print:
      fmt::print("{}", invocation->text);
      return 0;
    case Invocation::Action::restore:
      return restore();
    case Invocation::Action::print_config:
      return print_config(std::move(invocation->config));
    case Invocation::Action::run:
      return run(std::move(invocation->config));
  }
  return 1;
}

}  // namespace
}  // namespace tunproxy::cli

// The loop throws where there are no descriptors for it, before anything of the machine is changed.
int main(int argc, char** argv) try {
  return tunproxy::cli::main(std::vector<std::string>(argv + 1, argv + argc));
} catch (const std::exception& failure) {
  fmt::print(stderr, "tunproxy: {}\n", failure.what());
  return 1;
}
