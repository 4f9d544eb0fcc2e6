#include "core/ssh/auth.h"

#include <fmt/format.h>
#include <libssh2.h>

#include <utility>

#include "core/base/log.h"

namespace tunproxy::ssh {
namespace {

/// Refusals after which a lost connection means that the server had enough.
constexpr int kPatienceOfServers = 2;

}  // namespace

Authenticator::Authenticator(AuthOptions options, Questions& questions,
                             const Cancellation& cancellation)
    : options_(std::move(options)), questions_(questions), cancellation_(cancellation) {}

std::string_view Authenticator::to_string(State state) {
  switch (state) {
    case State::methods:
      return "methods";
    case State::choosing:
      return "choosing";
    case State::agent_key:
      return "agent key";
    case State::probing:
      return "probing";
    case State::file_key:
      return "file key";
    case State::keyboard:
      return "keyboard";
    case State::password:
      return "password";
  }
  return "?";
}

void Authenticator::set_state(State next) {
  log::debug("authentication: {} -> {}", to_string(state_), to_string(next));
  state_ = next;
}

Result<bool> Authenticator::step(LIBSSH2_SESSION* session) {
  for (;;) {
    if (cancellation_.cancelled())
      return Error{ErrorCode::cancelled, "authentication was cancelled"};
    const auto step = run(session);
    if (!step) return step.error();
    if (*step == Step::wait) return false;
    if (*step == Step::authenticated) return true;
  }
}

Result<Authenticator::Step> Authenticator::run(LIBSSH2_SESSION* session) {
  switch (state_) {
    case State::methods:
      return ask_methods(session);
    case State::choosing:
      return choose();
    case State::agent_key:
      return try_agent_key(session);
    case State::probing:
      return probe(session);
    case State::file_key:
      return try_file_key(session);
    case State::keyboard:
      return try_keyboard(session);
    case State::password:
      return try_password(session);
  }
  return failure();
}

Result<Authenticator::Step> Authenticator::ask_methods(LIBSSH2_SESSION* session) {
  char* list = libssh2_userauth_list(session, options_.user.data(),
                                     static_cast<unsigned>(options_.user.size()));
  if (list == nullptr && libssh2_session_last_errno(session) == LIBSSH2_ERROR_EAGAIN) {
    return Step::wait;
  }
  char* banner = nullptr;
  if (!methods_ && libssh2_userauth_banner(session, &banner) == 0) questions_.show(banner);
  if (list == nullptr) {
    if (libssh2_userauth_authenticated(session) != 0) return Step::authenticated;
    return connection_lost(session);
  }
  raw_methods_ = list;
  learn_methods(list);
  set_state(State::choosing);
  return Step::go_on;
}

void Authenticator::learn_methods(std::string_view list) {
  if (unsure_ && list != *methods_) {
    tried_.back() += " (taken, but the server wants more)";
    if (password_.size() != 0) questions_.credentials().remember(password_name(), password_);
  }
  unsure_ = false;
  password_ = Secret();
  methods_ = list;
  log::debug("the server allows: {}", list);
}

void Authenticator::ask_methods_again(LIBSSH2_SESSION* session, std::string what) {
  // libssh2 forgets the list of the call before when a new call begins.
  libssh2_free(session, std::exchange(raw_methods_, nullptr));
  tried_.push_back(std::move(what));
  unsure_ = true;
  set_state(State::methods);
}

bool Authenticator::allows(std::string_view method) const {
  return ("," + *methods_ + ",").find(fmt::format(",{},", method)) != std::string::npos;
}

Result<Authenticator::Step> Authenticator::choose() {
  if (allows("publickey")) {
    if (!keys_) collect_keys();
    if (next_key_ < keys_->size()) return begin_key();
  }
  if (wants_keyboard()) {
    prompts_ = 0;
    question_failure_.reset();
    set_state(State::keyboard);
    return Step::go_on;
  }
  if (allows("password") && password_tries_ < kMaxTries) return begin_password();
  return failure();
}

bool Authenticator::lost(LIBSSH2_SESSION* session, int result) const {
  switch (result) {
    case LIBSSH2_ERROR_SOCKET_SEND:
    case LIBSSH2_ERROR_SOCKET_RECV:
    case LIBSSH2_ERROR_SOCKET_DISCONNECT:
    case LIBSSH2_ERROR_SOCKET_TIMEOUT:
    case LIBSSH2_ERROR_TIMEOUT:
      return true;
    default:
      break;
  }
  // Some calls report a lost connection as a refusal; only their text tells.
  char* text = nullptr;
  int length = 0;
  libssh2_session_last_error(session, &text, &length, 0);
  return text != nullptr && std::string_view(text).starts_with("Waiting for");
}

Error Authenticator::connection_lost(LIBSSH2_SESSION* session) const {
  char* text = nullptr;
  int length = 0;
  libssh2_session_last_error(session, &text, &length, 0);
  if (refusals_ >= kPatienceOfServers) {
    return {ErrorCode::authentication_failed,
            fmt::format("{}@{}: the server closed the connection after {} refused attempts; {}",
                        options_.user, options_.host, refusals_, account())};
  }
  return {
      ErrorCode::reset,
      fmt::format("{}@{}: the connection was lost during authentication ({}); {}", options_.user,
                  options_.host, text != nullptr ? text : "no reason given", account())};
}

std::string Authenticator::account() const {
  std::string text = "tried: " + std::string(tried_.empty() ? "nothing" : "");
  for (size_t i = 0; i < tried_.size();) {
    size_t next = i + 1;
    while (next < tried_.size() && tried_[next] == tried_[i]) ++next;
    if (i > 0) text += ", ";
    text += tried_[i];
    if (next - i > 1) text += fmt::format(" ({} times)", next - i);
    i = next;
  }
  if (methods_) text += "; the server accepts: " + (methods_->empty() ? "nothing" : *methods_);
  return text;
}

Error Authenticator::failure() const {
  std::string hint;
  if (!questions_.anybody() && methods_ && (allows("password") || allows("keyboard-interactive"))) {
    hint = " (there is no terminal to ask for a password)";
  }
  return {ErrorCode::authentication_failed,
          fmt::format("{}@{}: authentication failed; {}{}", options_.user, options_.host, account(),
                      hint)};
}

std::string Authenticator::password_name() const {
  return fmt::format("password {}@{}:{}", options_.user, options_.host, options_.port);
}

}  // namespace tunproxy::ssh
