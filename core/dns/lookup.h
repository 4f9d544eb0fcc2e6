// Looking up the addresses of a name by DNS messages, for what must have addresses and was given a
// name.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/net/name_service.h"
#include "core/net/proxy.h"

namespace tunproxy::dns {

struct Addresses {
  std::vector<IpAddress> addresses;
  Duration ttl{};  ///< of the one that holds the shortest
};

/// A question for `type`, recursion desired, with id 0 (RFC 1035 §4.1). Error usage: not a name
/// that DNS can carry.
Result<ByteVector> address_query(std::string_view name, uint16_t type);
/// The A or AAAA records among the answers, whatever names lead there (CNAME). Empty if there are
/// none. Error protocol: malformed; host_unreachable: the resolver says so (RCODE).
Result<Addresses> addresses_in(Bytes answer, uint16_t type);

/// Asks `names` for A, and if there is none for AAAA; `server` is what the client would have asked.
/// Error host_unreachable: the name has no address; else what `names` says. REQUIRES: both outlive
/// the attempt.
std::unique_ptr<net::Attempt> look_up(io::Loop& loop, net::NameService& names,
                                      const Endpoint& server, const std::string& name,
                                      net::Done<Addresses> done);

}  // namespace tunproxy::dns
