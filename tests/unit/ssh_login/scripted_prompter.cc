#include "tests/unit/ssh_login/scripted_prompter.h"

namespace tunproxy::testing {

Result<std::string> ScriptedPrompter::ask(std::string_view question, bool echo) {
  questions.emplace_back(question);
  echoes.push_back(echo);
  if (on_ask) on_ask();
  if (cancelled) return Error{ErrorCode::cancelled, "cancelled"};
  if (answers.empty()) return Error{ErrorCode::general, "nobody is there"};
  std::string answer = std::move(answers.front());
  answers.pop_front();
  return answer;
}

}  // namespace tunproxy::testing
