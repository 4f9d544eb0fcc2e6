// Authentication with what the user knows: keyboard-interactive (RFC 4256) and password (RFC 4252
// §8).
#include <fmt/format.h>
#include <libssh2.h>

#include <cstdlib>

#include "core/base/log.h"
#include "core/ssh/auth.h"

namespace tunproxy::ssh {
namespace {

std::string_view view(const void* text, size_t length) {
  return text == nullptr ? std::string_view()
                         : std::string_view(static_cast<const char*>(text), length);
}

/// Without a callback libssh2 reports an expired password as a wrong one.
void decline_new_password(LIBSSH2_SESSION*, char** password, int* length, void**) {
  *password = nullptr;
  *length = 0;
}

}  // namespace

/// libssh2 calls back within the call that it was given to, and gives no room for a pointer of
/// ours: its `abstract` belongs to the session's owner.
struct Authenticator::Conversation {
  static thread_local Authenticator* current;

  static void respond(const char* name, int name_length, const char* instruction,
                      int instruction_length, int count,
                      const LIBSSH2_USERAUTH_KBDINT_PROMPT* prompts,
                      LIBSSH2_USERAUTH_KBDINT_RESPONSE* responses, void**) {
    for (const std::string_view text :
         {view(name, static_cast<size_t>(name_length)),
          view(instruction, static_cast<size_t>(instruction_length))}) {
      if (!text.empty()) current->questions_.show(std::string(text) + "\n");
    }
    for (int i = 0; i < count; ++i) {
      const auto secret =
          current->answer(view(prompts[i].text, prompts[i].length), prompts[i].echo != 0);
      if (!secret) return;
      responses[i].text = static_cast<char*>(std::malloc(secret->size() + 1));  // libssh2 frees it
      if (responses[i].text == nullptr) return;
      secret->text().copy(responses[i].text, secret->size());
      responses[i].length = static_cast<unsigned>(secret->size());
    }
  }
};

thread_local Authenticator* Authenticator::Conversation::current = nullptr;

bool Authenticator::wants_keyboard() const {
  return allows("keyboard-interactive") && keyboard_tries_ < kMaxTries &&
         (questions_.anybody() ||
          (keyboard_tries_ == 0 && questions_.credentials().find(password_name()).has_value()));
}

/// What to say to one prompt; empty once the user is gone.
std::optional<Secret> Authenticator::answer(std::string_view prompt, bool echo) {
  ++prompts_;
  if (prompts_ == 1 && !echo && keyboard_tries_ == 0 && password_tries_ == 0) {
    if (auto remembered = questions_.credentials().find(password_name())) {
      remembered_used_ = true;
      password_ = Secret(*remembered);
      return remembered;
    }
  }
  auto secret =
      questions_.ask(fmt::format("({}@{}) {}", options_.user, options_.host, prompt), echo);
  if (!secret) {
    question_failure_ = secret.error();
    return std::nullopt;
  }
  // One hidden answer to one question is a password, which may serve again; a code does not.
  const bool password_like = prompts_ == 1 && !echo && prompt.find("assword") != prompt.npos;
  password_ = password_like ? Secret(*secret) : Secret();
  return std::move(*secret);
}

Result<Authenticator::Step> Authenticator::try_keyboard(LIBSSH2_SESSION* session) {
  Conversation::current = this;
  const int result = libssh2_userauth_keyboard_interactive_ex(
      session, options_.user.data(), static_cast<unsigned>(options_.user.size()),
      &Conversation::respond);
  Conversation::current = nullptr;

  if (question_failure_ && question_failure_->code == ErrorCode::cancelled)
    return *question_failure_;
  if (result == LIBSSH2_ERROR_EAGAIN) return Step::wait;
  if (result == 0) {
    if (password_.size() != 0) questions_.credentials().remember(password_name(), password_);
    password_ = Secret();
    return Step::authenticated;
  }
  if (lost(session, result)) return connection_lost(session);
  // Refused without a question: the method is allowed in name only.
  keyboard_tries_ = prompts_ == 0 || question_failure_ ? kMaxTries : keyboard_tries_ + 1;
  return password_refused(session, "keyboard-interactive");
}

Result<Authenticator::Step> Authenticator::begin_password() {
  const auto remembered = questions_.credentials().find(password_name());
  remembered_used_ = remembered && password_tries_ == 0 && keyboard_tries_ == 0;
  if (remembered_used_) {
    password_ = Secret(*remembered);
  } else {
    if (!questions_.anybody()) return failure();
    auto answer =
        questions_.ask(fmt::format("{}@{}'s password: ", options_.user, options_.host), false);
    if (!answer && answer.error().code == ErrorCode::cancelled) return answer.error();
    if (!answer) return failure();
    password_ = std::move(*answer);
  }
  ++password_tries_;
  set_state(State::password);
  return Step::go_on;
}

Result<Authenticator::Step> Authenticator::try_password(LIBSSH2_SESSION* session) {
  const int result = libssh2_userauth_password_ex(
      session, options_.user.data(), static_cast<unsigned>(options_.user.size()), password_.c_str(),
      static_cast<unsigned>(password_.size()), &decline_new_password);
  if (result == LIBSSH2_ERROR_EAGAIN) return Step::wait;
  if (result == 0) {
    questions_.credentials().remember(password_name(), password_);
    password_ = Secret();
    return Step::authenticated;
  }
  if (lost(session, result)) {
    tried_.push_back("password");
    return connection_lost(session);
  }
  if (result == LIBSSH2_ERROR_PASSWORD_EXPIRED) {
    return Error{ErrorCode::authentication_failed,
                 fmt::format("{}@{}: the password has expired; change it with: ssh {}@{}",
                             options_.user, options_.host, options_.user, options_.host)};
  }
  return password_refused(session, "password");
}

Result<Authenticator::Step> Authenticator::password_refused(LIBSSH2_SESSION* session,
                                                            std::string_view method) {
  ++refusals_;
  if (remembered_used_) {
    questions_.credentials().forget(password_name());
    remembered_used_ = false;
  }
  if (!allows("publickey")) {
    // A server that wants several methods one after the other may have taken this one. Others allow
    // keys beside passwords; there the question would cost the user a try (sshd counts it as a
    // failure).
    ask_methods_again(session, std::string(method));
    return Step::go_on;
  }
  tried_.push_back(std::string(method));
  password_ = Secret();
  set_state(State::choosing);
  return Step::go_on;
}

}  // namespace tunproxy::ssh
