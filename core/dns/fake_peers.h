// FakePeers: whose answer a datagram is, where the program asked by a fake address and the answer
// comes from a real one. Pure.
#pragma once

#include <optional>
#include <vector>

#include "core/base/address.h"
#include "core/base/time.h"

namespace tunproxy::dns {

/// Belongs to one association. A carrier does not tell what a name resolved to; so the first
/// datagram from an unknown sender at the port of a name that waits for an answer counts as that
/// answer, and its sender is that name from then on. Where several names of one port wait, the one
/// that has waited longest gets it.
class FakePeers {
 public:
  static constexpr size_t kMax = 64;          ///< of each kind; the one unused longest is forgotten
  static constexpr Duration kPatience = 10s;  ///< for which a name waits for an answer

  /// A datagram went to `fake`, by its name.
  void sent_by_name(const Endpoint& fake, Instant now);
  /// A datagram went to `real`, as the program said.
  void sent_directly(const Endpoint& real, Instant now);
  /// The sender that the program is to see of a datagram from `from`: the fake endpoint that it
  /// sent to; `from` itself where it asked for that, or nothing is known.
  Endpoint shown(const Endpoint& from, Instant now);

 private:
  struct Named {
    Endpoint fake;
    std::optional<IpAddress> real;         // that answered last
    std::optional<Instant> waiting_since;  // nothing: answered
    Instant sent;
  };
  struct Direct {
    Endpoint real;
    Instant sent;
  };
  Named* find(const Endpoint& from, Instant now);

  std::vector<Named> named_;
  std::vector<Direct> direct_;
};

}  // namespace tunproxy::dns
