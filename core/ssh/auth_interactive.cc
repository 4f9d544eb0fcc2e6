// Authentication with what the user knows: keyboard-interactive (RFC 4256) and password (RFC 4252
// §8).
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <span>
#include <utility>

#include "core/base/log.h"
#include "core/ssh/auth.h"

namespace tunproxy::ssh {
namespace {

std::string lower(std::string_view text) {
  std::string result(text.substr(0, 1024));
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

bool asks_for_new_one(const std::string& prompt) {
  return prompt.find("new") != prompt.npos || prompt.find("retype") != prompt.npos;
}

// As PAM's translations call it. Of letters that are not ASCII only small ones are there.
constexpr std::string_view kTranslated[] = {
    "passwort", "kennwort",   "mot de passe", "contraseña", "contrasenya", "contrasinal", "senha",
    "parola",   "wachtwoord", "lösenord",     "passord",    "adgangskode", "salasana",    "hasło",
    "heslo",    "jelszó",     "geslo",        "lozinka",    "parool",      "ароль",       "арола",
    "密码",     "密碼",       "パスワード",   "암호",       "비밀번호",    "ωδικός"};
constexpr std::string_view kCode[] = {
    "one-time",     "one time",    "otp",      "code",       "token",     "passcode", "einmal",
    "usage unique", "un solo uso", "eenmalig", "jednoraz",   "uso único", "engangs",  "kertakäyttö",
    "monouso",      "дноразов",    "一次性",   "ワンタイム", "일회용"};

bool names_one(std::string_view text, std::span<const std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return text.find(word) != text.npos; });
}

/// A hidden answer that may serve again; a code does not. In another language only what is asked
/// first: later ones may be about a new password.
bool asks_for_password(const KeyboardPrompt& prompt, bool first) {
  if (prompt.echo) return false;
  const std::string text = lower(prompt.text);
  if (names_one(text, kCode)) return false;
  return text.find("password") != text.npos || (first && names_one(text, kTranslated));
}

}  // namespace

std::optional<Secret> Authenticator::known_password() const {
  if (memory_used_) return std::nullopt;
  if (auto remembered = questions_.credentials().find(password_name())) return remembered;
  return options_.password;
}

Result<bool> Authenticator::begin_keyboard() {
  if (unanswered_ || keyboard_tries_ >= options_.password_prompts) return false;
  if (!questions_.anybody() && !known_password()) return false;
  prompts_ = 0;
  rounds_ = 0;
  from_memory_ = false;
  password_ = Secret();
  wire_.queue(keyboard_request(options_.user));
  set_state(State::keyboard);
  return true;
}

Result<void> Authenticator::on_round(Bytes message) {
  const auto round = parse_keyboard_round(message);
  if (!round) return round.error();
  if (++rounds_ > kMaxRounds) {
    return Error{ErrorCode::authentication_failed,
                 fmt::format("{}: the server asks without end", name())};
  }
  for (const std::string* text : {&round->name, &round->instruction}) {
    if (!text->empty()) questions_.show(*text + "\n");
  }
  std::vector<Secret> answers;
  for (const KeyboardPrompt& prompt : round->prompts) {
    auto given = answer(prompt);
    if (!given && given.error().code == ErrorCode::cancelled) return given.error();
    if (!given) {
      unanswered_ = true;
      tried_.push_back("keyboard-interactive (nobody answered its question)");
      set_state(State::choosing);
      return {};
    }
    answers.push_back(std::move(*given));
  }
  wire_.queue(keyboard_response(answers));
  return {};
}

/// What to say to one prompt.
Result<Secret> Authenticator::answer(const KeyboardPrompt& prompt) {
  ++prompts_;
  const bool first = prompts_ == 1;
  const bool password_like = asks_for_password(prompt, first);
  const bool first_hidden = first && !prompt.echo;
  if ((password_like || first_hidden) && !asks_for_new_one(lower(prompt.text))) {
    if (auto known = known_password()) {
      memory_used_ = from_memory_ = true;
      password_ = Secret(*known);
      return std::move(*known);
    }
  }
  auto given = questions_.ask(fmt::format("({}) {}", name(), prompt.text), prompt.echo);
  if (given && password_like) password_ = Secret(*given);
  if (given && !password_like) needed_user_ = true;
  return given;
}

Result<bool> Authenticator::begin_password() {
  if (unanswered_ || password_tries_ >= options_.password_prompts) return false;
  if (auto known = known_password()) {
    memory_used_ = from_memory_ = true;
    password_ = std::move(*known);
  } else {
    if (!questions_.anybody()) return false;
    auto given = questions_.ask(fmt::format("{}'s password: ", name()), false);
    if (!given && given.error().code == ErrorCode::cancelled) return given.error();
    unanswered_ = !given;
    if (!given) return false;
    from_memory_ = false;
    password_ = std::move(*given);
  }
  wire_.queue(password_request(options_.user, password_));
  set_state(State::password);
  return true;
}

/// The password is right, but too old: the server wants another one.
Result<void> Authenticator::on_change_request(Bytes message) {
  const auto text = parse_text(message);
  if (!text) return text.error();
  if (++rounds_ > kMaxRounds || !questions_.anybody()) {
    return Error{
        ErrorCode::authentication_failed,
        fmt::format("{}: the password has expired; change it with: ssh {}", name(), name())};
  }
  questions_.show(*text);
  for (;;) {
    auto first = questions_.ask(fmt::format("Enter {}'s new password: ", name()), false);
    if (!first) return first.error();
    auto second = questions_.ask(fmt::format("Retype {}'s new password: ", name()), false);
    if (!second) return second.error();
    if (first->text() == second->text()) {
      wire_.queue(password_change(options_.user, password_, *first));
      password_ = std::move(*first);
      return {};
    }
    questions_.show("They differ; please try again.\n");
  }
}

void Authenticator::on_password_refused() {
  if (from_memory_) questions_.credentials().forget(password_name());
  password_ = Secret();
  if (state_ == State::password) {
    ++password_tries_;
    return;
  }
  // Refused without a question: the method is allowed in name only.
  keyboard_tries_ = prompts_ == 0 ? options_.password_prompts : keyboard_tries_ + 1;
}

void Authenticator::remember_password() {
  if (password_.size() != 0) questions_.credentials().remember(password_name(), password_);
  password_ = Secret();
  // What was right once is known again for a next step.
  memory_used_ = false;
}

}  // namespace tunproxy::ssh
