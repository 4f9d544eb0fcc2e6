// A Prompter that answers from a script.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "core/ssh/prompter.h"

namespace tunproxy::testing {

/// Without an answer left it fails, as if nobody were there.
class ScriptedPrompter final : public ssh::Prompter {
 public:
  void show(std::string_view text) override { shown += text; }
  Result<Secret> ask(std::string_view question, bool echo, const io::Event& cancelled) override;

  std::deque<std::string> answers;
  std::vector<std::string> questions;
  std::vector<bool> echoes;
  std::string shown;
  std::function<void()> on_ask;
};

}  // namespace tunproxy::testing
