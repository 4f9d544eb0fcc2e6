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

  void deny_datagrams_to(std::vector<Cidr>) override {}
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
  void set_memory_budget(size_t) override {}
  std::string name() const override { return "nowhere"; }
  void describe(control::TunnelStatus&) const override {}

  FakeProxy proxy;
  std::vector<std::string> groups;  ///< that were asked for
};

}  // namespace tunproxy::testing
