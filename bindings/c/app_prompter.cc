#include "bindings/c/app_prompter.h"

#include <utility>

namespace tunproxy::c_api {

void AppPrompter::show(std::string_view text) {
  if (callbacks_.show) callbacks_.show(text);
}

Result<std::string> AppPrompter::ask(std::string_view question, bool echo) {
  if (!callbacks_.ask) return Error{ErrorCode::authentication_failed, "nobody to ask"};
  const std::string prompt(question);
  return wait_for([&](tunproxy_question id) { callbacks_.ask(id, prompt, echo); });
}

ssh::Prompter::Trust AppPrompter::trust(const ssh::UnknownHostKey& key) {
  if (!callbacks_.verify_host_key) return Trust::no;
  const auto answer = wait_for([&](tunproxy_question id) { callbacks_.verify_host_key(id, key); });
  return answer && *answer == "yes" ? Trust::yes : Trust::no;
}

// The question is known before it is put: the answer may come from within the callback.
Result<std::string> AppPrompter::wait_for(const std::function<void(tunproxy_question)>& put) {
  tunproxy_question id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (cancelled_) return Error{ErrorCode::authentication_failed, "stopped"};
    id = ++last_;
    pending_[id];
  }
  put(id);
  std::unique_lock lock(mutex_);
  answered_.wait(lock, [&] { return cancelled_ || pending_[id].answered; });
  auto answer = std::move(pending_[id].answer);
  pending_.erase(id);
  if (!answer) {
    return Error{ErrorCode::authentication_failed, cancelled_ ? "stopped" : "not answered"};
  }
  return std::move(*answer);
}

bool AppPrompter::answer(tunproxy_question question, std::optional<std::string> answer) {
  const std::lock_guard lock(mutex_);
  const auto found = pending_.find(question);
  if (found == pending_.end() || found->second.answered) return false;
  found->second = {true, std::move(answer)};
  answered_.notify_all();
  return true;
}

void AppPrompter::cancel() {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  answered_.notify_all();
}

}  // namespace tunproxy::c_api
