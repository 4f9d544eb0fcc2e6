// A tunnel over a SOCKS5 server in the same loop: what is told to it reaches all of it.
#include "core/tunnel.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "core/io/direct_proxy.h"
#include "core/socks5/client.h"
#include "core/socks5/server.h"
#include "tests/support/memory_stream.h"

namespace tunproxy {
namespace {

using testing::run_until;

constexpr size_t kMega = size_t{1024} * 1024;
const Endpoint kLocal{*IpAddress::parse("127.0.0.1"), 0};

class TunnelTest : public ::testing::Test {
 protected:
  TunnelTest() {
    auto server = socks5::Server::listen(loop_, kLocal, direct_);
    auto target = io::TcpListener::listen(
        loop_, kLocal, [this](auto stream) { accepted_.push_back(std::move(stream)); });
    if (!server || !target) return;
    upstream_ = std::move(*server);
    target_ = std::move(*target);
    config_.socks5.server = Target(upstream_->local());
    config_.tun = false;
    config_.udp = UdpCarrier::none;
    platform_.control_socket = false;
  }

  void make() { tunnel_ = std::make_unique<Tunnel>(loop_, config_, platform_); }
  void begin() {
    tunnel_->start([this](Result<void> outcome) { started_ = outcome.has_value(); });
  }
  void start() {
    make();
    begin();
    ASSERT_TRUE(run_until(loop_, [this] { return started_.has_value(); }));
    ASSERT_TRUE(*started_);
  }
  size_t cap() { return loop_.memory().cap(); }

  io::Loop loop_;
  io::DirectProxy direct_{loop_, {}};
  std::vector<std::unique_ptr<net::Stream>> accepted_;
  std::unique_ptr<io::TcpListener> target_;
  std::unique_ptr<socks5::Server> upstream_;
  Config config_;
  Platform platform_;
  std::optional<bool> started_;
  std::unique_ptr<Tunnel> tunnel_;
};

TEST_F(TunnelTest, WithoutABudgetThereIsOneWhileMemoryIsShort) {
  start();
  EXPECT_EQ(cap(), MemoryBudget::kNoCap);
  tunnel_->memory_pressure(MemoryPressure::moderate);
  EXPECT_EQ(cap(), 16 * kMega);
  tunnel_->memory_pressure(MemoryPressure::critical);
  EXPECT_EQ(cap(), 4 * kMega);
  tunnel_->memory_pressure(MemoryPressure::none);
  EXPECT_EQ(cap(), MemoryBudget::kNoCap);
}

TEST_F(TunnelTest, WhatIsToldWhileItConnectsHolds) {
  config_.memory = 32;
  make();
  EXPECT_EQ(cap(), 32 * kMega);
  tunnel_->memory_pressure(MemoryPressure::moderate);
  begin();
  tunnel_->memory_pressure(MemoryPressure::critical);
  ASSERT_TRUE(run_until(loop_, [this] { return started_.has_value(); }));
  EXPECT_EQ(cap(), 2 * kMega);
  tunnel_->memory_pressure(MemoryPressure::none);
  EXPECT_EQ(cap(), 32 * kMega);
}

TEST_F(TunnelTest, NewFlowsAreRefusedWhereMemoryIsShort) {
  config_.memory = 32;
  start();
  ASSERT_TRUE(tunnel_->serve_socks(kLocal));
  const std::string summary = tunnel_->summary();
  const auto at = Target::parse(summary.substr(summary.rfind(' ') + 1));
  ASSERT_TRUE(at) << summary;
  socks5::Client client(loop_, *at, {});
  std::optional<ErrorCode> outcome;
  std::unique_ptr<net::Attempt> attempt;
  std::unique_ptr<net::Stream> open;
  const auto connect = [&] {
    outcome.reset();
    open.reset();
    attempt = client.connect(Target(target_->local()), [&](auto stream) {
      if (stream) open = std::move(*stream);
      outcome = open ? ErrorCode{} : stream.error().code;
    });
    return run_until(loop_, [&] { return outcome.has_value(); });
  };
  const MemoryCharge others(loop_.memory(), 16 * kMega);
  ASSERT_TRUE(connect());
  EXPECT_TRUE(open);
  tunnel_->memory_pressure(MemoryPressure::moderate);
  ASSERT_TRUE(connect());
  EXPECT_FALSE(open);
  tunnel_->memory_pressure(MemoryPressure::none);
  ASSERT_TRUE(connect());
  EXPECT_TRUE(open);
}

}  // namespace
}  // namespace tunproxy
