#include <fmt/core.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "platform/linux/host_network.h"
#include "tools/tunproxy/options.h"
#include "tools/tunproxy/program.h"

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
  const auto report = linux_host::restore_leftovers();
  if (!report) return complain(report.error());
  for (const std::string& line : report->restored) fmt::print("put back: {}\n", line);
  for (const std::string& line : report->failed)
    fmt::print(stderr, "tunproxy: not put back: {}\n", line);
  if (report->restored.empty() && report->failed.empty()) fmt::print("nothing to put back\n");
  return report->failed.empty() ? 0 : 1;
}

int run(Config config) {
  const auto level =
      config.log_level.value_or(config.command.empty() ? log::Level::info : log::Level::warn);
  if (auto configured = log::configure(level, config.log_file); !configured) {
    return complain(configured.error());
  }
  return Program(std::move(config)).run();
}

int main(std::vector<std::string> arguments) {
  auto invocation = parse(std::move(arguments), user_name());
  if (!invocation) {
    return complain({ErrorCode::usage, invocation.error().message + " (see tunproxy --help)"});
  }
  switch (invocation->action) {
    case Invocation::Action::print:
      fmt::print("{}", invocation->text);
      return 0;
    case Invocation::Action::restore:
      return restore();
    case Invocation::Action::run:
      return run(std::move(invocation->config));
  }
  return 1;
}

}  // namespace
}  // namespace tunproxy::cli

int main(int argc, char** argv) {
  return tunproxy::cli::main(std::vector<std::string>(argv + 1, argv + argc));
}
