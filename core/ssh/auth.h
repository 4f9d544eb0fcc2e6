// User authentication (RFC 4252, 4256) in OpenSSH's order: agent keys, key files,
// keyboard-interactive, password.
//
//   methods → choosing → agent_key │ probing → file_key │ file_key │ keyboard │ password → choosing
//   …
//
// `methods` asks with the method "none" what the server allows: at first, and after a refusal that
// may have been a partial success (libssh2 does not tell which).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/ssh/agent.h"
#include "core/ssh/auth_keys.h"
#include "core/ssh/auth_questions.h"

struct _LIBSSH2_SESSION;

namespace tunproxy::ssh {

struct AuthOptions {
  std::string user;
  std::string host;
  uint16_t port = 22;
  std::vector<KeyFile> named_keys;
  std::vector<std::string> default_keys;  ///< paths
  std::string agent_socket;               ///< empty: no agent
};

/// For one connection; used by one worker thread at a time.
/// REQUIRES: the session uses libssh2's default allocator (malloc).
class Authenticator {
 public:
  static constexpr int kMaxTries = 3;  ///< wrong answers: for a passphrase, in all for passwords

  /// REQUIRES: `questions` and `cancellation` outlive this.
  Authenticator(AuthOptions options, Questions& questions, const Cancellation& cancellation);

  /// As Login::authenticate().
  Result<bool> step(_LIBSSH2_SESSION* session);

 private:
  enum class State : uint8_t {
    methods,
    choosing,
    agent_key,
    probing,
    file_key,
    keyboard,
    password
  };
  enum class Step : uint8_t { wait, go_on, authenticated };
  struct SignCallbacks;
  struct Conversation;

  static std::string_view to_string(State state);
  void set_state(State next);
  Result<Step> run(_LIBSSH2_SESSION* session);

  Result<Step> ask_methods(_LIBSSH2_SESSION* session);
  void learn_methods(std::string_view list);
  void ask_methods_again(_LIBSSH2_SESSION* session, std::string what);
  bool allows(std::string_view method) const;

  Result<Step> choose();
  void collect_keys();
  Result<Step> begin_key();
  Result<Step> try_agent_key(_LIBSSH2_SESSION* session);
  Result<Step> probe(_LIBSSH2_SESSION* session);
  Result<Step> open_file_key();
  Result<Step> try_file_key(_LIBSSH2_SESSION* session);
  Result<Step> wrong_passphrase();
  Result<Step> key_answered(_LIBSSH2_SESSION* session, int result);
  Result<Step> next_key(std::string_view remark);
  bool wants_keyboard() const;
  Result<Step> try_keyboard(_LIBSSH2_SESSION* session);
  std::optional<Secret> answer(std::string_view prompt, bool echo);

  Result<Step> begin_password();
  Result<Step> try_password(_LIBSSH2_SESSION* session);
  Result<Step> password_refused(_LIBSSH2_SESSION* session, std::string_view method);

  bool lost(_LIBSSH2_SESSION* session, int result) const;
  Error connection_lost(_LIBSSH2_SESSION* session) const;
  Error failure() const;
  std::string account() const;
  CandidateKey& key() { return (*keys_)[next_key_]; }
  std::string password_name() const;
  std::string passphrase_name() { return "passphrase " + key().file->path; }

  AuthOptions options_;
  Questions& questions_;
  const Cancellation& cancellation_;

  State state_ = State::methods;
  char* raw_methods_ = nullptr;  // libssh2's; it frees only the last one of a session
  std::optional<std::string> methods_;
  bool unsure_ = false;  // the last attempt was refused, or was half of what the server wants

  std::optional<Agent> agent_;
  std::optional<std::vector<CandidateKey>> keys_;
  size_t next_key_ = 0;
  bool taken_ = false;  // the server would take the probed key
  std::string sign_failure_;
  Secret passphrase_;
  int passphrase_tries_ = 0;

  Secret password_;  // the one that is being tried
  bool remembered_used_ = false;
  int password_tries_ = 0;
  int keyboard_tries_ = 0;
  int prompts_ = 0;  // of the running keyboard-interactive attempt
  std::optional<Error> question_failure_;

  int refusals_ = 0;
  std::vector<std::string> tried_;
};

}  // namespace tunproxy::ssh
