// systemd-resolved, by its program resolvectl: names of this machine go to the tunnel's resolver,
// also those that it would ask of another link.
//
// It asks for a name on the links whose domain fits best. The TUN gets "~.", all names; but a
// domain that another link has (from DHCP, say) fits better, and the socket for that link's servers
// is bound to it, past all routes. Names of one label and those below .local it asks of everybody
// in a link's network, by LLMNR and mDNS, where these are on. So the other links' domains, LLMNR
// and mDNS are taken away for as long as the tunnel is up.
#pragma once

#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"

namespace tunproxy::linux_host {

/// What a link has of one kind.
struct LinkSetting {
  std::string kind;  ///< as resolvectl calls it: "domain", "llmnr", "mdns"
  std::string link;
  std::vector<std::string>
      values;  ///< domains ("~" in front: not for searching), "yes" or "resolve"
  bool operator==(const LinkSetting&) const = default;
};

/// It runs in this network namespace and answers.
bool resolved_runs();
/// By which names could leave on other links than `tun`.
std::vector<LinkSetting> ways_beside(const std::string& tun);
/// What `resolvectl KIND` prints, without links that have nothing, or "no". Pure.
std::vector<LinkSetting> parse_link_settings(const std::string& kind, const std::string& text);

/// The TUN answers all names; it forgets that by itself when the link goes.
Result<void> install_resolved(const std::string& tun, const IpAddress& resolver);
/// REQUIRES: `settings` are safe elsewhere
Result<void> take_away(const std::vector<LinkSetting>& settings);
/// Gives them back, but not to a link that has others since, or is gone. Also of a former process.
Result<void> give_back(const std::vector<LinkSetting>& settings);

}  // namespace tunproxy::linux_host
