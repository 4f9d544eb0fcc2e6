// Name resolution for the mount namespace of one command.
#pragma once

#include <string>

#include "core/base/address.h"
#include "core/base/result.h"

namespace tunproxy::linux_host {

/// Makes /etc/resolv.conf name `resolver` alone, whatever it is (a file, a link into /run,
/// missing), and hides the sockets of local name services, through which a look-up would leave the
/// machine beside the tunnel. REQUIRES: a mount namespace of the caller's own, with the right to
/// mount in it.
Result<void> install_private_names(const IpAddress& resolver);
/// The same with this content, for processes that shall not use the tunnel.
Result<void> install_private_names(const std::string& resolv_conf);
/// What /etc/resolv.conf says, or, where that leads to systemd-resolved's stub (which will ask
/// through the tunnel), the resolvers behind it. Empty while a tunproxy has replaced it.
std::string uplink_resolv_conf();

}  // namespace tunproxy::linux_host
