#include "core/ssh/auth.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/log.h"
#include "tunproxy_ssh2.h"

namespace tunproxy::ssh {
namespace {

/// Refusals, the last one silent, after which a lost connection means that the server had enough.
constexpr int kPatienceOfServers = 3;

}  // namespace

Authenticator::Authenticator(AuthOptions options, Questions& questions, const io::Event& cancelled)
    : options_(std::move(options)), questions_(questions), cancelled_(cancelled) {}

std::string_view Authenticator::to_string(State state) {
  switch (state) {
    case State::none:
      return "none";
    case State::choosing:
      return "choosing";
    case State::key_query:
      return "key query";
    case State::key_request:
      return "key request";
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

Result<bool> Authenticator::step(_LIBSSH2_SESSION* session) {
  session_ = session;
  if (!std::exchange(started_, true)) {
    tunproxy_ssh2_wipe_freed(session, 1);
    wire_.queue(none_request(options_.user));
  }
  for (;;) {
    if (cancelled_.is_set()) return Error{ErrorCode::cancelled, "authentication was cancelled"};
    if (state_ == State::choosing) {
      if (auto chosen = choose(); !chosen) return chosen.error();
    }
    const auto sent = wire_.flush(session);
    if (!sent) return lost(sent.error());
    const auto message = wire_.read(session);
    if (!message) return lost(message.error());
    if (!*message) return false;
    const auto done = on_message(**message);
    if (!done) return done.error();
    if (*done) return true;
  }
}

/// True: authenticated.
Result<bool> Authenticator::on_message(Bytes message) {
  switch (static_cast<AuthMessage>(message[0])) {
    case AuthMessage::success:
      on_success();
      return true;
    case AuthMessage::failure:
      if (auto done = on_failure(message); !done) return done.error();
      return false;
    case AuthMessage::banner:
      on_banner(message);
      return false;
    case AuthMessage::method_specific:
      if (auto done = on_method_message(message); !done) return done.error();
      return false;
    case AuthMessage::disconnect:
    case AuthMessage::request:
    case AuthMessage::info_response:
      break;
  }
  return Error{ErrorCode::protocol,
               fmt::format("the server sent message {} during authentication", message[0])};
}

Result<void> Authenticator::on_method_message(Bytes message) {
  switch (state_) {
    case State::key_query:
      return sign_key();
    case State::keyboard:
      return on_round(message);
    case State::password:
      return on_change_request(message);
    case State::none:
    case State::choosing:
    case State::key_request:
      break;
  }
  return Error{ErrorCode::protocol, "the server answered what was not asked"};
}

Result<void> Authenticator::on_failure(Bytes message) {
  auto refusal = parse_failure(message);
  if (!refusal) return refusal.error();
  methods_ = std::move(refusal->methods);
  log::debug("the server allows: {}", methods_);
  const std::string_view taken = refusal->partial ? " (taken, but the server wants more)" : "";
  if (!refusal->partial && state_ != State::none) ++refusals_;
  switch (state_) {
    case State::key_query:
      leave_key("");
      break;
    case State::key_request:
      leave_key(taken);
      if (refusal->partial) on_key_taken();
      break;
    case State::keyboard:
    case State::password:
      tried_.push_back((state_ == State::keyboard ? "keyboard-interactive" : "password") +
                       std::string(taken));
      if (refusal->partial) {
        remember_password();
      } else {
        on_password_refused();
      }
      break;
    case State::none:
    case State::choosing:
      break;
  }
  set_state(State::choosing);
  return {};
}

void Authenticator::on_success() {
  if (state_ == State::key_request) log::debug("authenticated with {}", key().label);
  if (state_ == State::keyboard || state_ == State::password) remember_password();
  questions_.credentials().set_repeatable(!needed_user_);
  tunproxy_ssh2_wipe_freed(session_, 0);  // what comes now is no secret, and much more
  keys_.reset();                          // and the private keys with them
}

void Authenticator::on_banner(Bytes message) {
  auto text = parse_text(message);
  if (!text || banner_ + text->size() > kMaxBanner) return;
  banner_ += text->size();
  questions_.show(*text);
}

/// Queues the next request.
Result<void> Authenticator::choose() {
  for (const std::string& method : options_.methods) {
    if (!allows(method)) continue;
    const auto begun = begin(method);
    if (!begun) return begun.error();
    if (*begun) return {};
  }
  return failure();
}

/// False: the method has nothing left to try.
Result<bool> Authenticator::begin(std::string_view method) {
  if (method == "publickey") return begin_key();
  if (method == "keyboard-interactive") return begin_keyboard();
  if (method == "password") return begin_password();
  return false;
}

std::string Authenticator::name() const {
  return options_.user + "@" + options_.host;
}

Error Authenticator::lost(const Error& why) {
  if (state_ != State::none) ++refusals_;
  if (state_ == State::key_query || state_ == State::key_request) tried_.push_back(key().label);
  if (state_ == State::keyboard) tried_.push_back("keyboard-interactive");
  if (state_ == State::password) tried_.push_back("password");
  const bool enough = refusals_ >= kPatienceOfServers ||
                      why.message.find("authentication failures") != std::string::npos;
  if (enough) {
    return {ErrorCode::authentication_failed,
            fmt::format("{}: the server closed the connection after {} refused attempts ({}); {}; "
                        "name the right key, and let no others be tried, if there are many",
                        name(), refusals_, why.message, account())};
  }
  return {ErrorCode::reset,
          fmt::format("{}: the connection was lost during authentication ({}); {}", name(),
                      why.message, account())};
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
  if (state_ != State::none) {
    text += "; the server accepts: " + (methods_.empty() ? "nothing" : methods_.substr(0, 200));
  }
  return text;
}

Error Authenticator::failure() const {
  std::string hint;
  if (!questions_.anybody() && (allows("password") || allows("keyboard-interactive"))) {
    hint = " (there is no terminal to ask for a password)";
  }
  return {ErrorCode::authentication_failed,
          fmt::format("{}: authentication failed; {}{}", name(), account(), hint)};
}

std::string Authenticator::password_name() const {
  return fmt::format("password {}@{}:{}", options_.user, options_.host, options_.port);
}

}  // namespace tunproxy::ssh
