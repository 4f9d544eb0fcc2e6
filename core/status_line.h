// What is told people of UDP and names: who carries the one and who resolves the other.
#pragma once

#include <string>
#include <vector>

#include "core/config.h"
#include "core/udp/carrier.h"
#include "core/udp/watched_proxy.h"

namespace tunproxy {

inline constexpr const char* kNoConnectionYet = "waits: there is no connection yet";

/// How UDP goes over SSH, the kind of its NAT, and what failed and why. `carrier`: nullptr with
/// --udp none.
std::string udp_text(const udp::Carrier* carrier);
/// The same of a SOCKS5 server.
std::string udp_text(const udp::WatchedProxy* socks5, const Config& config);
/// Who resolves names. `resolvers`: that are asked, as far as they are known. `over_tcp`: they are
/// not asked by datagrams.
std::string names_text(const Config& config, const std::vector<Endpoint>& resolvers, bool over_tcp);

/// Tells the user at the start and after each change.
class StatusLine {
 public:
  /// `carried`: UDP is, or was not asked for; else it is told loudly.
  void tell(const std::string& udp, const std::string& names, bool carried);

 private:
  std::string told_;
};

}  // namespace tunproxy
