// What the configuration says of the SOCKS listener, in the listener's own terms.
#pragma once

#include "core/config.h"
#include "core/socks5/server_options.h"

namespace tunproxy {

/// The users whose passwords the files hold. Error usage: a file is of no use.
Result<std::vector<socks5::User>> load_users(const ListenerSettings& settings);

/// Users and limits of a listener at `at`. Error usage, for people: a password file is of no use,
/// or others could reach the listener and nobody is asked for a password or a certificate.
Result<socks5::ServerOptions> listener_options(const ListenerSettings& settings,
                                               const Endpoint& at);

}  // namespace tunproxy
