#include "bindings/c/app_prompter.h"

#include <poll.h>

#include <atomic>
#include <cerrno>
#include <utility>

namespace tunproxy::c_api {
namespace {

// Of the process, so that no answer is taken for that to another run's question.
std::atomic<tunproxy_question> last_question = 0;

// Until one of them is set.
void wait_for_either(const io::Event& one, const io::Event& other) {
  while (!one.is_set() && !other.is_set()) {
    pollfd waits[] = {{one.fd(), POLLIN, 0}, {other.fd(), POLLIN, 0}};
    if (::poll(waits, 2, -1) < 0 && errno != EINTR) return;
  }
}

}  // namespace

void AppPrompter::show(std::string_view text) {
  if (callbacks_.show) callbacks_.show(text);
}

Result<Secret> AppPrompter::ask(std::string_view question, bool echo, const io::Event& cancelled) {
  if (!callbacks_.ask) return Error{ErrorCode::authentication_failed, "nobody to ask"};
  const std::string prompt(question);
  return wait_for([&](tunproxy_question id) { callbacks_.ask(id, prompt, echo); }, cancelled);
}

Result<ssh::Prompter::Trust> AppPrompter::trust(const ssh::UnknownHostKey& key,
                                                const io::Event& cancelled) {
  if (!callbacks_.verify_host_key) return Trust::no;
  const auto answer =
      wait_for([&](tunproxy_question id) { callbacks_.verify_host_key(id, key); }, cancelled);
  if (!answer && answer.error().code == ErrorCode::cancelled) return answer.error();
  return answer && answer->text() == "yes" ? Trust::yes : Trust::no;
}

// The question is known before it is put: the answer may come from within the callback.
Result<Secret> AppPrompter::wait_for(const std::function<void(tunproxy_question)>& put,
                                     const io::Event& cancelled) {
  const Error given_up{ErrorCode::cancelled, "the question is not asked any more"};
  if (cancelled.is_set()) return given_up;
  const tunproxy_question id = ++last_question;
  const auto pending = std::make_shared<Pending>();
  {
    const std::lock_guard lock(mutex_);
    pending_[id] = pending;
  }
  put(id);
  wait_for_either(pending->answered, cancelled);
  const std::lock_guard lock(mutex_);
  pending_.erase(id);
  if (pending->answer) return std::move(*pending->answer);
  if (cancelled.is_set()) return given_up;
  return Error{ErrorCode::authentication_failed, "not answered"};
}

bool AppPrompter::answer(tunproxy_question question, std::optional<Secret> answer) {
  const std::lock_guard lock(mutex_);
  const auto found = pending_.find(question);
  if (found == pending_.end()) return false;
  found->second->answer = std::move(answer);
  found->second->answered.set();
  pending_.erase(found);
  return true;
}

}  // namespace tunproxy::c_api
