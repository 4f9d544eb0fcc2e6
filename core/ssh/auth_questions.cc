#include "core/ssh/auth_questions.h"

namespace tunproxy::ssh {

void Questions::show(std::string_view text) const {
  if (prompter_ != nullptr && !text.empty()) prompter_->show(text);
}

Result<Secret> Questions::ask(std::string_view question, bool echo) {
  if (prompter_ == nullptr) return Error{ErrorCode::authentication_failed, "nobody to ask"};
  waiting_ = true;
  auto answer = prompter_->ask(question, echo, cancelled_);
  waiting_ = false;
  return answer;
}

}  // namespace tunproxy::ssh
