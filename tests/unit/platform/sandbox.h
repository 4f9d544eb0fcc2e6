// A machine to try things on: a process of its own in fresh network and mount namespaces, with a
// private /run, /etc/resolv.conf, /dev/net/tun and an "uplink" to nowhere.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace tunproxy::testing {

/// Why sandboxes cannot be had here, or empty. Tests skip with it.
std::string why_no_sandbox();

/// Runs `body` in a sandbox, in a forked process: its first non-empty return value, or a crash of
/// it, fails the calling test. Bounded: the process is killed after a minute.
void in_sandbox(const std::function<std::string()>& body);

/// Output of a shell command (stdout and stderr).
std::string shell(const std::string& command);
int shell_status(const std::string& command);
/// Everything of the machine that a tunnel may change, as text to compare.
std::string machine_state();

}  // namespace tunproxy::testing

#define SANDBOXED(...)                                                 \
  do {                                                                 \
    const std::string why_not = ::tunproxy::testing::why_no_sandbox(); \
    if (!why_not.empty()) GTEST_SKIP() << why_not;                     \
    ::tunproxy::testing::in_sandbox(__VA_ARGS__);                      \
  } while (false)

#define CHECK_THAT(condition, ...)                                                             \
  do {                                                                                         \
    if (!(condition)) return std::string(#condition " is false; ") + std::string(__VA_ARGS__); \
  } while (false)
