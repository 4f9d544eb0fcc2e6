// HostSettings: how to log in at one SSH server. What is empty or unset is for others to say: the
// command line over the user's ssh_config over our own defaults.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/secret.h"
#include "core/ssh/algorithms.h"
#include "core/ssh/host_key_policy.h"

namespace tunproxy::ssh {

struct HostSettings {
  std::vector<std::string> identities;        ///< key files that must be there
  std::vector<std::string> usual_identities;  ///< files that are tried if they exist; of ssh_config
  std::vector<std::string> certificates;  ///< certificate files, besides each key's own "-cert.pub"
  std::vector<Secret> keys;               ///< private keys in memory, as in a key file
  std::optional<Secret> password;
  std::optional<Secret> passphrase;     ///< of the keys
  std::optional<bool> identities_only;  ///< no agent keys but those of `identities` (default: no)
  std::string identity_agent;           ///< a socket, or "none"; empty: the one at SSH_AUTH_SOCK
  std::string methods;  ///< of authentication, in their order, with commas between; empty: all
  std::optional<unsigned> password_prompts;  ///< questions for a password; default: 3

  std::string host_key_alias;  ///< the name in the known hosts; empty: the one that was asked for
  std::vector<std::string> known_hosts;         ///< a new key goes into the first; empty: OpenSSH's
  std::vector<std::string> system_known_hosts;  ///< only read; empty: OpenSSH's
  std::vector<std::string> known_host_lines;    ///< besides, as in a file of known hosts
  std::optional<bool> hash_known_hosts;         ///< default: as the file that a key goes into
  std::optional<HostKeyPolicy> host_keys;       ///< default: ask on a terminal, else strict

  Algorithms algorithms;
};

}  // namespace tunproxy::ssh
