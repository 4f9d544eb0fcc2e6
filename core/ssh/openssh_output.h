// What `ssh -G` prints: a line for each option with the value that ssh would use, in lower case,
// options with several values (identityfile) on several lines. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"
#include "core/ssh/host_settings.h"

namespace tunproxy::ssh {

/// Option → its values, in their order.
using OpensshOptions = std::map<std::string, std::vector<std::string>, std::less<>>;
/// Error usage: this is no output of `ssh -G`.
Result<OpensshOptions> parse_openssh_output(std::string_view text);

/// What a user's ssh_config says of one host. What it leaves to OpenSSH's defaults is unset.
struct OpensshConfig {
  std::string user;
  Target server;
  HostSettings login;
  std::string proxy_jump;     ///< "[user@]host[:port],…"; empty: none
  std::string proxy_command;  ///< with tokens; empty: none
  std::optional<unsigned> keepalive;
  std::vector<std::string> ignored;  ///< set, and it matters, but we do not do it: "Option value"
};

/// Who asks, for tildes and tokens (%d %u %i %L %l).
struct OpensshUser {
  std::string name;
  std::string home;
  unsigned id = 0;
  std::string machine;  ///< this host's name
};

/// `defaults` is the output for the same host without any configuration; what is equal there is not
/// the user's wish. `asked` is the host as it was named. Errors (usage) say which option.
Result<OpensshConfig> interpret_openssh(const OpensshOptions& options,
                                        const OpensshOptions& defaults, const std::string& asked,
                                        const OpensshUser& user);

}  // namespace tunproxy::ssh
