// systemd-resolved, by its program resolvectl: names of this machine go to the tunnel's resolver,
// also those that it would ask of another link's name servers.
//
// It asks for a name on the links whose domain fits best. The TUN gets "~.", all names; but a
// domain that another link has (from DHCP, say) fits better, and the socket for that link's servers
// is bound to it, past all routes. So the other links' domains are taken away for as long as the
// tunnel is up.
#pragma once

#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"

namespace tunproxy::linux_host {

struct LinkDomains {
  std::string link;
  std::vector<std::string> domains;  ///< "~" in front: not for searching
  bool operator==(const LinkDomains&) const = default;
};

/// It runs in this network namespace and answers.
bool resolved_runs();
/// Of all links that have some.
std::vector<LinkDomains> link_domains();
/// What `resolvectl domain` prints. Pure.
std::vector<LinkDomains> parse_link_domains(const std::string& text);

/// The TUN answers all names; it forgets that by itself when the link goes. Then takes `others`
/// their domains. REQUIRES: `others` is safe elsewhere
Result<void> install_resolved(const std::string& tun, const IpAddress& resolver,
                              const std::vector<LinkDomains>& others);
/// Gives them back, but not to a link that has others since, or is gone. Also of a former process.
Result<void> restore_resolved(const std::vector<LinkDomains>& others);

}  // namespace tunproxy::linux_host
