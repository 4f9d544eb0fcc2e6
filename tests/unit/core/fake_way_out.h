// A way out whose flows the test answers.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/way_out.h"
#include "tests/unit/socks5/fake_proxy.h"

namespace tunproxy::testing {

/// Carries streams alone.
class FakeWayOut final : public WayOut {
 public:
  explicit FakeWayOut(io::Loop& loop) : proxy(loop) {}

  void enforce_there(std::vector<rules::FarRule>) override {}
  void start(net::Done<void>) override {}
  void on_state(OnState) override {}
  net::Proxy& streams() override { return proxy; }
  net::Proxy& streams_of(const std::string& group) override {
    groups.push_back(group);
    return proxy;
  }
  net::DatagramProxy* datagrams() override { return nullptr; }
  net::NameService* names() override { return nullptr; }
  void network_changed() override {}
  void pause() override {}
  void wake() override {}
  std::string name() const override { return "nowhere"; }
  void describe(control::TunnelStatus&) const override {}

  FakeProxy proxy;
  std::vector<std::string> groups;  ///< that were asked for
};

}  // namespace tunproxy::testing
