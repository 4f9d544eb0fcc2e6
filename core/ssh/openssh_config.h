// Asks OpenSSH's client, where it is installed, what the user's ssh_config says of a host (`ssh
// -G`): aliases, Match, Include and all else mean what they mean to ssh.
#pragma once

#include <optional>
#include <string>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/ssh/openssh_output.h"

namespace tunproxy::ssh {

struct OpensshQuery {
  std::string host;             ///< a host or an alias
  std::string user;             ///< empty: as the configuration says
  uint16_t port = 0;            ///< 0: likewise
  std::string file;             ///< this configuration instead of the user's and the system's
  std::string program = "ssh";  ///< found in PATH if it has no slash
  Duration patience = 10s;      ///< `Match exec` and names may take time
};

/// Runs it twice (also without configuration, to know this version's defaults), without a shell,
/// and blocks; a process that takes too long or prints too much is killed with its children.
/// Nothing: it is not installed, or this user has no account. Error usage: with ssh's own words; a
/// host or user like an option.
Result<std::optional<OpensshConfig>> ask_openssh(const OpensshQuery& query);

}  // namespace tunproxy::ssh
