#include "core/gated_way.h"

namespace tunproxy {

GatedWay::GatedWay(gate::Gatekeeper& keeper, const gate::Who& who, net::Proxy& out,
                   net::DatagramProxy* datagrams, dns::FakeTable* fakes)
    : gate_(keeper, out, who), datagram_gate_(keeper, datagrams, who) {
  if (fakes == nullptr) return;
  fake_redirect_.emplace(keeper.loop(), *fakes, gate_);
  fake_datagrams_.emplace(keeper.loop(), *fakes, datagram_gate_);
}

net::Proxy& GatedWay::streams() {
  if (fake_redirect_) return *fake_redirect_;
  return gate_;
}

net::DatagramProxy& GatedWay::datagrams() {
  if (fake_datagrams_) return *fake_datagrams_;
  return datagram_gate_;
}

}  // namespace tunproxy
