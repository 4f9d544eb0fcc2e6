// GatedWay: the way out as one source of flows sees it: behind the rules, and with names in place
// of the addresses that stand for them.
#pragma once

#include <memory>
#include <optional>

#include "core/dns/fake_redirect.h"
#include "core/dns/fake_table.h"
#include "core/gate/datagram_gate.h"
#include "core/gate/gate.h"

namespace tunproxy {

/// Lives in one loop thread; outlives its flows.
class GatedWay {
 public:
  /// `datagrams` may be nullptr: none are carried. `fakes`: nullptr without --dns fake. REQUIRES:
  /// all of them outlive it.
  GatedWay(gate::Gatekeeper& keeper, const gate::Who& who, net::Proxy& out,
           net::DatagramProxy* datagrams, dns::FakeTable* fakes);

  net::Proxy& streams();
  /// Associations fail while carries_datagrams() is false.
  net::DatagramProxy& datagrams();
  /// Some are carried, or rules lead some outside the tunnel, as they are now.
  bool carries_datagrams() const { return datagram_gate_.carries(); }

 private:
  gate::Gate gate_;
  gate::DatagramGate datagram_gate_;
  std::optional<dns::FakeRedirect> fake_redirect_;
  std::optional<dns::FakeDatagrams> fake_datagrams_;
};

}  // namespace tunproxy
