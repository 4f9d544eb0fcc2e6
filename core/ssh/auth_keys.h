// The keys to try, in the order to try them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/ssh/agent.h"
#include "core/ssh/key_file.h"

namespace tunproxy::ssh {

/// A key in the agent or in a file.
struct CandidateKey {
  std::string label;  ///< for the account: "agent key ED25519 SHA256:…", "~/.ssh/id_rsa"
  bool in_agent = false;
  ByteVector blob;              ///< the public key; may be empty for a file
  std::optional<KeyFile> file;  ///< unless in_agent
};

/// The agent's keys, those that `named` also names first; then the files of `named`, then those of
/// `defaults` that exist. A file whose key the agent has is left out. `remarks` gets a line for
/// each that cannot be used.
std::vector<CandidateKey> order_keys(std::vector<AgentKey> agent, const std::vector<KeyFile>& named,
                                     const std::vector<std::string>& defaults,
                                     std::vector<std::string>& remarks);

}  // namespace tunproxy::ssh
