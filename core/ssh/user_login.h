// UserLogin: the Login of a user: known_hosts, keys, agent, passwords.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/io/event.h"
#include "core/ssh/accepted_keys.h"
#include "core/ssh/auth.h"
#include "core/ssh/auth_credentials.h"
#include "core/ssh/auth_questions.h"
#include "core/ssh/host_key_policy.h"
#include "core/ssh/login.h"
#include "core/ssh/prompter.h"

namespace tunproxy::ssh {

/// A private key that is in no file: from an app's key store.
struct MemoryKey {
  std::string name;                  ///< for messages and questions: "key of profile Home"
  Secret content;                    ///< OpenSSH's format or PEM
  std::optional<Secret> passphrase;  ///< if it is encrypted; else the prompter is asked
  std::string certificate;           ///< the text of a "…-cert.pub" file for it; may be empty
};

/// Paths may begin with "~/". What OpenSSH calls it stands in brackets.
struct UserLoginOptions {
  std::string host;  ///< as the user wrote it: what known_hosts is searched for
  uint16_t port = 22;
  std::string user;

  /// Keys asked for by name, best first; a missing one is an error. A ".pub" names one of the
  /// agent.
  std::vector<std::string> identity_files;
  /// Keys that are tried if they exist [IdentityFile as `ssh -G` lists it, defaults included]. If
  /// this, `identity_files` and `keys` are empty: the usual ones in `directory`.
  std::vector<std::string> usual_identity_files;
  std::vector<std::string> certificate_files;  ///< beside each key's "-cert.pub" [CertificateFile]
  std::vector<MemoryKey> keys;                 ///< tried before those of files
  bool identities_only = false;                ///< of the agent only keys that are also named here
  /// The agent's socket [IdentityAgent]: a path, "$VARIABLE", "SSH_AUTH_SOCK", "none". If empty:
  /// SSH_AUTH_SOCK.
  std::string agent_socket;
  bool use_agent = true;
  /// Signature algorithms to use, best first [PubkeyAcceptedAlgorithms without patterns and +-^];
  /// if empty: all.
  std::vector<std::string> key_algorithms;
  /// Tried before anybody is asked, as the password and as the answer to the first hidden question
  /// of keyboard-interactive.
  std::optional<Secret> password;
  int password_prompts = 3;  ///< [NumberOfPasswordPrompts]
  /// The methods to use and their order [PreferredAuthentications]; if empty: publickey,
  /// keyboard-interactive, password.
  std::vector<std::string> preferred_methods;

  std::vector<std::string>
      known_hosts_files;  ///< if empty: known_hosts and known_hosts2 in `directory`
  std::vector<std::string> system_known_hosts_files = {"/etc/ssh/ssh_known_hosts",
                                                       "/etc/ssh/ssh_known_hosts2"};
  std::vector<std::string> known_hosts_lines;  ///< besides, as in a file
  /// New keys that no file keeps; the same one for each connection. May be null.
  std::shared_ptr<AcceptedKeys> accepted_keys;
  std::string host_key_alias;  ///< stands for host and port in known_hosts and certificates
  /// Of these only, in this order [HostKeyAlgorithms without patterns and +-^]; if empty: all,
  /// those that are known first.
  std::vector<std::string> host_key_algorithms;
  bool hash_known_hosts = false;  ///< also done where the file has hashed names
  std::string directory;          ///< if empty: ~/.ssh
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
  HostKeyCheck host_key_check();

  UserLoginOptions options_;
  io::Event cancelled_;
  Questions questions_;
  Authenticator authenticator_;
};

}  // namespace tunproxy::ssh
