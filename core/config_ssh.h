// The way to the SSH server: what the command line says, over what the user's ssh_config says of
// the server and of each jump.
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/config.h"
#include "core/ssh/user_login.h"

namespace tunproxy {

/// Fills in `config.ssh.path` and `keepalive`; nothing if SSH is not the way out. `user`: for who
/// names none. Runs `ssh -G` for each host and blocks meanwhile (core/ssh/openssh_config.h). Says
/// in one line for each host which of its settings are not honoured. Errors (usage) name the host.
Result<void> resolve_ssh(Config& config, const std::string& user);

/// The login at one host of the path; the prompter and the credentials are for the caller to set.
ssh::UserLoginOptions login_options(const SshHost& host);

/// `config.ssh.path` as comments for people: of each host all that holds there, secrets left out.
std::string describe_path(const Config& config);

/// The password: the one in memory, or the file's first line; nothing if none is given. Warns of a
/// file that others can read. Error usage: no such file, or an empty line.
Result<std::optional<Secret>> read_password(const Password& password);

}  // namespace tunproxy
