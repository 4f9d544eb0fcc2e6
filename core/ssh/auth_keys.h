// The keys to try, in the order to try them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/ssh/agent.h"
#include "core/ssh/key_file.h"

namespace tunproxy::ssh {

/// A public key or a certificate to offer, and who signs for it: the agent or a private key.
struct CandidateKey {
  std::string label;      ///< for the account: "agent key ED25519 SHA256:…", "~/.ssh/id_rsa"
  ByteVector blob;        ///< what is offered; empty: a file that tells it only once it is open
  ByteVector agent_blob;  ///< by what name the agent knows the key that signs; empty: `file` signs
  std::optional<KeyFile> file;
};

struct KeySources {
  std::vector<KeyFile> named;             ///< asked for: keys in memory, then files
  std::vector<std::string> usual;         ///< paths; tried if they exist
  std::vector<std::string> certificates;  ///< paths
  bool named_only = false;                ///< of the agent only what the others name
};

/// OpenSSH's order: certificates of files, keys of the agent that files name, its others, files. A
/// file whose key the agent has is left out. `remarks` gets a line for each that cannot be used.
std::vector<CandidateKey> order_keys(std::vector<AgentKey> agent, const KeySources& sources,
                                     std::vector<std::string>& remarks);

}  // namespace tunproxy::ssh
