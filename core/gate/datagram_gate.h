// DatagramGate: stands in front of the ways out for datagrams, applies the rules to each and keeps
// the account.
#pragma once

#include <memory>
#include <utility>

#include "core/gate/gatekeeper.h"
#include "core/net/datagram_proxy.h"

namespace tunproxy::gate {

/// An association goes through the tunnel, if that carries datagrams; the socket outside the tunnel
/// is made when a datagram is to go there. What is decided of a destination holds until the rules
/// are replaced, or the addresses of its name have to be asked for again.
class DatagramGate final : public net::DatagramProxy {
 public:
  /// `tunnel` may be nullptr: then datagrams go outside, or nowhere. REQUIRES: both outlive it; it
  /// outlives its attempts and sessions.
  DatagramGate(Gatekeeper& keeper, net::DatagramProxy* tunnel, Who who)
      : keeper_(keeper), tunnel_(tunnel), who_(std::move(who)) {}

  /// Through the tunnel, or outside as the rules are now; else associations fail.
  bool carries() const { return tunnel_ != nullptr || goes_outside(); }

  std::unique_ptr<net::Attempt> associate(
      net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
      net::Done<std::unique_ptr<net::DatagramSession>> done) override;

 private:
  class Opening;

  bool goes_outside() const;

  Gatekeeper& keeper_;
  net::DatagramProxy* const tunnel_;
  const Who who_;
};

}  // namespace tunproxy::gate
