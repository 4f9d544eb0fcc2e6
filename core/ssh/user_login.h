// UserLogin: the Login of a user: known_hosts, keys, agent, passwords.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/ssh/agent.h"
#include "core/ssh/auth.h"
#include "core/ssh/auth_credentials.h"
#include "core/ssh/auth_questions.h"
#include "core/ssh/host_key_policy.h"
#include "core/ssh/login.h"
#include "core/ssh/prompter.h"

namespace tunproxy::ssh {

struct UserLoginOptions {
  std::string host;  ///< as the user wrote it: what known_hosts is searched for
  uint16_t port = 22;
  std::string user;

  std::vector<std::string> identity_files;  ///< if empty: the usual ones in `directory` that exist
  std::vector<std::string>
      known_hosts_files;  ///< if empty: known_hosts and known_hosts2 in `directory`
  std::vector<std::string> system_known_hosts_files = {"/etc/ssh/ssh_known_hosts",
                                                       "/etc/ssh/ssh_known_hosts2"};
  std::string directory;  ///< if empty: ~/.ssh
  bool use_agent = true;  ///< the one at SSH_AUTH_SOCK
  HostKeyPolicy host_key_policy = HostKeyPolicy::ask;
  Prompter* prompter =
      nullptr;  ///< null: nobody to ask; `ask` is `strict` then. REQUIRES: outlives the Login
  /// What the user answered; the same one for each connection, so that only the first asks. May be
  /// null.
  std::shared_ptr<Credentials> credentials;
};

/// For one connection. Two threads, as in Login.
class UserLogin final : public Login {
 public:
  /// Errors (usage) in what was asked for by name: a key file that is missing, unreadable, open to
  /// others or no key; an empty host or user. "~/" at the start of a path is the home directory.
  static Result<std::unique_ptr<UserLogin>> create(UserLoginOptions options);

  std::string host_key_algorithms() override;
  Result<void> check_host_key(const HostKey& key) override;
  Result<bool> authenticate(_LIBSSH2_SESSION* session) override;
  bool waits_for_user() const override { return questions_.waiting(); }
  void cancel() override;

 private:
  UserLogin(UserLoginOptions options, AuthOptions auth);

  UserLoginOptions options_;
  Cancellation cancellation_;
  Questions questions_;
  Authenticator authenticator_;
};

}  // namespace tunproxy::ssh
