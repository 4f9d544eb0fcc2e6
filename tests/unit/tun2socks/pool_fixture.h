// A UdpPool between scripted associations and a host of the test.
#pragma once

#include <gtest/gtest.h>

#include "tests/unit/tun2socks/scripted_datagrams.h"

namespace tunproxy::testing {

class UdpPoolTest : public ::testing::Test {
 protected:
  using Pool = tun2socks::UdpPool;
  using Outcome = Pool::Outcome;
  using Drop = tun2socks::Drop;

  explicit UdpPoolTest(size_t associations = 100)
      : pool_(proxy_, host_, options(associations), stats_) {}

  static tun2socks::EngineOptions options(size_t associations) {
    tun2socks::EngineOptions made;
    made.udp_associations = associations;
    return made;
  }
  static Endpoint local(unsigned n) {
    return {*IpAddress::parse("198.18.0.1"), static_cast<uint16_t>(10000 + n)};
  }
  static Endpoint peer(unsigned n) {
    const uint8_t address[4] = {192, 0, 2, static_cast<uint8_t>(n)};
    return {IpAddress::v4(address), static_cast<uint16_t>(1000 + n / 256)};
  }
  Outcome send(unsigned from, unsigned to, std::string_view text = "x") {
    return pool_.send({local(from), peer(to)}, as_bytes(text));
  }
  /// What the association sent, "peer:text" each.
  size_t sent(size_t index) const { return proxy_.all[index]->sent.size(); }
  void pass(Duration time) {
    host_.time += time;
    pool_.tick();
    pool_.sweep();
  }

  tun2socks::EngineStats stats_;
  ScriptedDatagrams proxy_;
  ManualHost host_;
  Pool pool_;
};

}  // namespace tunproxy::testing
