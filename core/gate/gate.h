// Gate: stands in front of the ways out for streams, applies the rules and keeps the account.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/gate/gatekeeper.h"
#include "core/net/proxy.h"

namespace tunproxy::gate {

/// What is denied fails with not_allowed. A name goes on as it is where no rule about addresses can
/// decide; else it is looked up, all its addresses are judged, and the connection goes to one that
/// is not denied: to the next if one cannot be reached.
class Gate final : public net::Proxy {
 public:
  static constexpr size_t kMaxTries = 4;  ///< addresses of a name

  /// REQUIRES: both outlive it; it outlives its attempts, the account its streams.
  Gate(Gatekeeper& keeper, net::Proxy& tunnel, Who who)
      : keeper_(keeper), tunnel_(tunnel), who_(std::move(who)) {}

  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override;
  /// A name is looked up, and only its addresses that are not denied may come; through a SOCKS5
  /// server, where nobody can be asked, the name goes on as it is. Where anybody may come, rules
  /// about addresses decide of each that comes. REQUIRES: expected.may_come is empty
  std::unique_ptr<net::Attempt> bind(const net::Expected& expected, net::OnBound on_bound,
                                     net::Done<net::Accepted> done) override;

 private:
  class Connecting;
  class Binding;
  /// Of a name's addresses those that are not denied and go the way of the first of them.
  struct Candidates {
    rules::Verdict verdict;  ///< of the first; if there is none, why
    std::vector<IpAddress> addresses;
  };

  Candidates admitted(const Target& name, const Lookup::Addresses& addresses) const;

  net::Proxy* way(rules::Action action) const {
    return action == rules::Action::direct ? keeper_.direct() : &tunnel_;
  }

  Gatekeeper& keeper_;
  net::Proxy& tunnel_;
  const Who who_;
};

}  // namespace tunproxy::gate
