// Gate: stands in front of the ways out for streams, applies the rules and keeps the account.
#pragma once

#include <memory>
#include <utility>

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
  /// Where anybody may come, rules about addresses decide about who came.
  std::unique_ptr<net::Attempt> bind(const Target& from, net::OnBound on_bound,
                                     net::Done<net::Accepted> done) override;

 private:
  class Connecting;
  class Binding;

  net::Proxy* way(rules::Action action) const {
    return action == rules::Action::direct ? keeper_.direct() : &tunnel_;
  }

  Gatekeeper& keeper_;
  net::Proxy& tunnel_;
  const Who who_;
};

}  // namespace tunproxy::gate
