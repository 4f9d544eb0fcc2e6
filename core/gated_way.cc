#include "core/gated_way.h"

namespace tunproxy {

GatedWay::GatedWay(gate::Gatekeeper& keeper, const gate::Who& who, net::Proxy& out,
                   net::DatagramProxy* datagrams, dns::FakeTable* fakes)
    : gate_(keeper, out, who) {
  if (datagrams != nullptr || keeper.rules().mentions(rules::Action::direct)) {
    datagram_gate_.emplace(keeper, datagrams, who);
  }
  if (fakes == nullptr) return;
  fake_redirect_.emplace(keeper.loop(), *fakes, gate_);
  if (datagram_gate_) fake_datagrams_.emplace(keeper.loop(), *fakes, *datagram_gate_);
}

net::Proxy& GatedWay::streams() {
  if (fake_redirect_) return *fake_redirect_;
  return gate_;
}

net::DatagramProxy* GatedWay::datagrams() {
  if (fake_datagrams_) return &*fake_datagrams_;
  return datagram_gate_ ? &*datagram_gate_ : nullptr;
}

}  // namespace tunproxy
