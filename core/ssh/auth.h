// User authentication (RFC 4252, 4256, 8332) in OpenSSH's order: none, keys, keyboard-interactive,
// password.
//
//   none → choosing → key_query → key_request │ keyboard │ password → choosing → …
//
// In each state but `choosing` an answer of the server is awaited. A refusal names the methods that
// can go on, and says whether what it answers was taken as one of several steps.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/ssh/agent.h"
#include "core/ssh/algorithms.h"
#include "core/ssh/auth_keys.h"
#include "core/ssh/auth_message.h"
#include "core/ssh/auth_questions.h"
#include "core/ssh/auth_wire.h"

struct _LIBSSH2_SESSION;

namespace tunproxy::ssh {

struct AuthOptions {
  std::string user;
  std::string host;
  uint16_t port = 22;
  KeySources keys;
  std::string agent_socket;                 ///< empty: no agent
  std::vector<std::string> key_algorithms;  ///< empty: all
  std::optional<Secret> password;
  int password_prompts = 3;  ///< wrong passwords after which a method is given up
  std::vector<std::string> methods = {"publickey", "keyboard-interactive", "password"};
};

/// For one connection; used by one worker thread at a time.
/// REQUIRES: the session uses libssh2's default allocator (malloc).
class Authenticator {
 public:
  static constexpr int kMaxPassphrases = 3;  ///< wrong ones, for one key
  static constexpr int kMaxRounds = 100;     ///< of one keyboard-interactive attempt
  static constexpr size_t kMaxBanner = 64 * 1024;

  /// REQUIRES: `questions` and `cancelled` outlive this.
  Authenticator(AuthOptions options, Questions& questions, const io::Event& cancelled);

  /// As Login::authenticate().
  Result<bool> step(_LIBSSH2_SESSION* session);

 private:
  enum class State : uint8_t { none, choosing, key_query, key_request, keyboard, password };

  static std::string_view to_string(State state);
  void set_state(State next);

  Result<bool> on_message(Bytes message);
  Result<void> on_method_message(Bytes message);
  Result<void> on_failure(Bytes message);
  void on_success();
  void on_banner(Bytes message);
  Result<void> choose();
  bool allows(std::string_view method) const { return list_has(methods_, method); }
  Result<bool> begin(std::string_view method);

  Result<bool> begin_key();
  void collect_keys();
  void prefer_what_the_server_takes();
  Result<bool> offer_key();
  Result<void> sign_key();
  Result<ByteVector> signature(Bytes data);
  Result<ByteVector> agent_signature(Bytes data);
  Result<ByteVector> file_signature(Bytes data);
  Result<void> find_public_key();
  template <typename T, typename Use>
  Result<T> with_passphrase(const KeyFile& file, Use use);
  std::optional<Secret> known_passphrase(const KeyFile& file);
  void leave_key(std::string_view remark);
  void on_key_taken();

  Result<bool> begin_keyboard();
  Result<void> on_round(Bytes message);
  Result<Secret> answer(const KeyboardPrompt& prompt);
  Result<bool> begin_password();
  Result<void> on_change_request(Bytes message);
  std::optional<Secret> known_password() const;
  void on_password_refused();
  void remember_password();

  Error lost(const Error& why);
  Error failure() const;
  std::string account() const;
  CandidateKey& key() { return (*keys_)[next_key_]; }
  std::string name() const;
  std::string password_name() const;

  AuthOptions options_;
  Questions& questions_;
  const io::Event& cancelled_;
  AuthWire wire_;
  _LIBSSH2_SESSION* session_ = nullptr;  // within step()

  State state_ = State::none;
  bool started_ = false;
  std::string methods_;  // that the server named last
  size_t banner_ = 0;

  std::optional<Agent> agent_;
  std::optional<std::vector<CandidateKey>> keys_;
  size_t next_key_ = 0;
  std::string algorithm_;  // the signature's, for the key in hand

  Secret password_;           // the one that is being tried
  bool from_memory_ = false;  // it is one that is known, not one that the user just gave
  bool memory_used_ = false;  // so there is no other
  int password_tries_ = 0;
  int keyboard_tries_ = 0;
  int prompts_ = 0;  // of the running keyboard-interactive attempt
  int rounds_ = 0;
  bool unanswered_ = false;   // the user left a question open
  bool needed_user_ = false;  // for what cannot be repeated

  int refusals_ = 0;
  std::vector<std::string> tried_;
};

}  // namespace tunproxy::ssh
