// Prompter: how the SSH layer asks the user. A terminal on Linux; callbacks of an app elsewhere.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"

namespace tunproxy::ssh {

/// Called from a worker thread, one question at a time; may block until the user answered or
/// cancel().
class Prompter {
 public:
  virtual ~Prompter() = default;
  /// Shows text that needs no answer (a banner, the instruction of a keyboard-interactive round).
  virtual void show(std::string_view text) = 0;
  /// Asks one question; `echo` false for secrets. An Error: nobody is there to ask, or cancelled.
  virtual Result<std::string> ask(std::string_view question, bool echo) = 0;
  /// From any thread: makes a pending ask() and all later ones fail soon.
  virtual void cancel() = 0;
};

}  // namespace tunproxy::ssh
