// A helper whose client does not read: what it holds is bounded, in bytes and in time, and counted.
#include <gtest/gtest.h>
#include <sched.h>

#include <fstream>
#include <sstream>

#include "tests/relay/helper_process.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::testing {
namespace {

constexpr size_t kQueue = 1024 * 1024;  // bytes that a helper may hold for its client
constexpr size_t kSmall = 11500;
constexpr size_t kLarge = 400;
constexpr size_t kPage = 4096;

/// Bytes that the UDP socket at this port has not read yet.
size_t unread(uint16_t port) {
  char wanted[8];
  std::snprintf(wanted, sizeof wanted, ":%04X", port);
  std::ifstream table("/proc/net/udp");
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    std::string slot, local, remote, state, queues;
    fields >> slot >> local >> remote >> state >> queues;
    if (local.ends_with(wanted))
      return std::stoul(queues.substr(queues.find(':') + 1), nullptr, 16);
  }
  return 0;
}

size_t resident(pid_t process) {
  size_t whole = 0;
  size_t pages = 0;
  std::ifstream("/proc/" + std::to_string(process) + "/statm") >> whole >> pages;
  return pages * kPage;
}

class Overload : public ::testing::TestWithParam<Kind> {
 protected:
  Overload() {
    // A sanitizer would keep what is freed.
    helper_ = std::make_unique<HelperProcess>(
        helper_command(GetParam()), std::vector<std::string>{"ASAN_OPTIONS=quarantine_size_mb=0:"
                                                             "thread_local_quarantine_size_kb=0"});
    client_ = std::make_unique<RawClient>(loop_, *helper_);
    peer_ = *io::UdpSocket::bind(loop_, {*IpAddress::parse("127.0.0.1"), 0},
                                 [](const Endpoint&, Bytes) {});
  }
  /// Opens an association; its port.
  uint16_t associate() {
    client_->say(1, udp::UdpAssociate{});
    const auto opened = client_->next();
    if (!opened) return 0;
    return std::get<udp::UdpAssociateOpened>(opened->body).bound.port();
  }
  /// The helper has read each before the next few come.
  void flood(uint16_t port, size_t count, size_t size, size_t batch) {
    const ByteVector payload(size, 'x');
    for (size_t i = 1; i <= count; ++i) {
      peer_->send({*IpAddress::parse("127.0.0.1"), port}, payload);
      if (i % batch == 0) {
        while (unread(port) > 0) ::sched_yield();
      }
    }
  }

  io::Loop loop_;
  std::unique_ptr<HelperProcess> helper_;
  std::unique_ptr<RawClient> client_;
  std::unique_ptr<io::UdpSocket> peer_;
};

INSTANTIATE_TEST_SUITE_P(Both, Overload, ::testing::Values(Kind::cpp, Kind::python), kind_name);

TEST_P(Overload, WhatNobodyReadsIsBounded) {
  ASSERT_TRUE(client_->greet());
  const uint16_t port = associate();
  ASSERT_NE(port, 0);
  client_->read(false);
  const size_t before = resident(helper_->pid());
  flood(port, kSmall, 64, 50);
  flood(port, kLarge, 60000, 2);
  EXPECT_LT(resident(helper_->pid()), before + 12 * kQueue);
  loop_.run_once(false);  // its time stood still
  const Instant then = loop_.now();
  run_until(loop_, [&] { return loop_.now() - then > 200ms; });  // so that all of it is old
  client_->read(true);
  client_->say(0, udp::Ping{7});
  size_t came = 0;
  udp::Stats told;
  bool alive = false;
  while (!alive || came + told.too_many + told.too_old < kSmall + kLarge) {
    const auto message = client_->next_of_all();
    ASSERT_TRUE(message) << came << " " << told.too_many << " " << told.too_old;
    if (const auto* stats = std::get_if<udp::Stats>(&message->body)) told = *stats;
    came += std::holds_alternative<udp::UdpPacket>(message->body);
    alive = alive || std::holds_alternative<udp::Pong>(message->body);
  }
  EXPECT_EQ(came + told.too_many + told.too_old, kSmall + kLarge);
  EXPECT_GT(told.too_many, kLarge / 2);
  EXPECT_GT(told.too_old, 0u);
}

}  // namespace
}  // namespace tunproxy::testing
