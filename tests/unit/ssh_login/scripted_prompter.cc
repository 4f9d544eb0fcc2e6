#include "tests/unit/ssh_login/scripted_prompter.h"

namespace tunproxy::testing {

Result<Secret> ScriptedPrompter::ask(std::string_view question, bool echo,
                                     const io::Event& cancelled) {
  questions.emplace_back(question);
  echoes.push_back(echo);
  if (on_ask) on_ask();
  if (cancelled.is_set()) return Error{ErrorCode::cancelled, "cancelled"};
  if (answers.empty()) return Error{ErrorCode::general, "nobody is there"};
  Secret answer(answers.front());
  answers.pop_front();
  return answer;
}

}  // namespace tunproxy::testing
