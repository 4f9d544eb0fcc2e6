#include "core/io/direct_datagrams.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/io/udp_socket.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::io {
namespace {

class DirectDatagramsTest : public ::testing::Test {
 protected:
  DirectDatagramsTest() {
    const Endpoint at{*IpAddress::parse("127.0.0.1"), 0};
    auto bound = UdpSocket::bind(
        loop_, at, [this](const Endpoint& from, Bytes payload) { echo_->send(from, payload); });
    echo_ = std::move(*bound);
  }
  std::unique_ptr<net::DatagramSession> open(DirectDatagrams& proxy) {
    std::unique_ptr<net::DatagramSession> session;
    const auto attempt = proxy.associate(
        [this](const Endpoint& from, Bytes payload) {
          replies_.push_back(from.to_string() + " " + std::string(as_text(payload)));
        },
        [](const Error&) { FAIL(); },
        [&](Result<std::unique_ptr<net::DatagramSession>> opened) {
          session = std::move(*opened);
        });
    EXPECT_FALSE(session) << "called from within";
    EXPECT_TRUE(testing::run_until(loop_, [&] { return session != nullptr; }));
    return session;
  }
  bool replied(size_t count) {
    return testing::run_until(loop_, [&] { return replies_.size() >= count; });
  }

  Loop loop_;
  std::unique_ptr<UdpSocket> echo_;
  std::vector<std::string> replies_;
};

TEST_F(DirectDatagramsTest, DatagramsGoAndComeBackByAddressAndByName) {
  unsigned prepared = 0;
  DirectDatagrams proxy(loop_, [&](int) -> Result<void> { return ++prepared, Result<void>(); });
  const auto session = open(proxy);
  session->send(Target(echo_->local()), as_bytes("one"));
  ASSERT_TRUE(replied(1));
  EXPECT_EQ(replies_[0], echo_->local().to_string() + " one");
  session->send(Target::from_host("localhost", echo_->local().port), as_bytes("two"));
  session->send(Target::from_host("no.such.name.invalid", 9), as_bytes("lost"));
  ASSERT_TRUE(replied(2));
  EXPECT_TRUE(replies_[1].ends_with(" two"));
  EXPECT_TRUE(testing::run_until(loop_, [&] { return proxy.drops().unresolved == 1; }));
  EXPECT_EQ(prepared, 1U);
}

TEST_F(DirectDatagramsTest, ASocketThatMayNotBeIsNotUsed) {
  DirectDatagrams proxy(loop_, [](int) -> Result<void> {
    return Error{ErrorCode::no_permission, "no mark"};
  });
  const auto session = open(proxy);
  session->send(Target(echo_->local()), as_bytes("one"));
  loop_.run_once(false);
  EXPECT_TRUE(replies_.empty());
  EXPECT_EQ(proxy.drops().no_socket, 1U);
}

TEST_F(DirectDatagramsTest, ItEndsWhileNamesAreLookedUp) {
  DirectDatagrams proxy(loop_, {});
  auto session = open(proxy);
  for (int i = 0; i < 200; ++i) {
    session->send(Target::from_host("n" + std::to_string(i) + ".invalid", 9), as_bytes("x"));
  }
  EXPECT_EQ(proxy.drops().waiting, 200 - DirectDatagrams::kMaxWaiting);
  session.reset();
  loop_.run_once(false);
}

TEST_F(DirectDatagramsTest, WhatTheKernelDoesNotTakeIsCounted) {
  DirectDatagrams proxy(loop_, {});
  const auto session = open(proxy);
  session->send({*IpAddress::parse("255.255.255.255"), 9}, as_bytes("broadcast"));
  EXPECT_EQ(proxy.drops().unsent, 1U);
}

}  // namespace
}  // namespace tunproxy::io
