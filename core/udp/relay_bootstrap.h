// How the relay helper is started at an SSH server on which nothing needs to be installed: a
// command for an exec channel, and a program that goes in through its stdin.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/bytes.h"
#include "core/base/time.h"

namespace tunproxy::udp {

/// What either helper is told on its command line; nullopt: its own default.
struct HelperOptions {
  std::optional<Duration> idle;              ///< then it ends an association
  std::optional<uint32_t> max_associations;  ///< it serves
};

/// Runs `tunproxy-relay`, if it is installed there and speaks our version, else Python with a line
/// that reads relay_program() from stdin: exactly that many bytes, and never touches a disk. Any
/// login shell takes it (sh, bash, dash, zsh, csh, tcsh, fish): to it the command is three plain
/// words and one in single quotes, in which there is no quote, backslash, newline or "!".
std::string relay_command(const HelperOptions& options = {});

/// What goes first through stdin, always; a helper that does not need it passes over it. Its first
/// line says how long it is. Lives as long as the program.
Bytes relay_program();

}  // namespace tunproxy::udp
