// A server that breaks the rules: the mux ends the connection, or takes no notice; it never
// believes.
#include <gtest/gtest.h>

#include "core/ssh/channel_open.h"
#include "core/ssh/probe.h"
#include "core/ssh/remote_bind.h"
#include "tests/unit/ssh/plain_peer.h"

namespace tunproxy::testing {
namespace {

using ssh::MessageType;
using ssh::MessageWriter;

class HostileTest : public ::testing::Test {
 protected:
  void say(ByteVector payload) { connection_.peer->say(payload); }
  bool run_until(const std::function<bool()>& condition) {
    return testing::run_until(loop_, condition, 60s);
  }
  void turn() {
    for (int i = 0; i < 10; ++i) loop_.run_once(false);
  }

  // The next message of a type that comes.
  ByteVector hear(MessageType type) {
    ByteVector found;
    EXPECT_TRUE(run_until([&] {
      if (!found.empty()) return true;
      for (ByteVector& payload : connection_.peer->hear()) heard_.push_back(std::move(payload));
      for (auto i = heard_.begin(); i != heard_.end(); ++i) {
        if (i->at(0) != static_cast<uint8_t>(type)) continue;
        found = std::move(*i);
        heard_.erase(i);
        return true;
      }
      return false;
    })) << "type "
        << static_cast<int>(type);
    return found;
  }

  // A channel that is open.
  std::unique_ptr<net::Stream> open(uint32_t window = 1000, uint32_t packet = 100) {
    std::unique_ptr<net::Stream> stream;
    const ssh::ChannelOpen attempt(*connection_.mux, Target::from_host("t.test", 1),
                                   ssh::Priority::bulk,
                                   [&](auto result) { stream = std::move(*result); });
    hear(MessageType::channel_open);
    say(MessageWriter(MessageType::channel_open_confirmation)
            .u32(next_id_++)
            .u32(70)
            .u32(window)
            .u32(packet)
            .take());
    EXPECT_TRUE(run_until([&] { return stream != nullptr; }));
    return stream;
  }

  ByteVector forwarded(std::string_view type, uint32_t port, uint32_t packet = 100) {
    return MessageWriter(MessageType::channel_open)
        .string(type)
        .u32(7)
        .u32(1000)
        .u32(packet)
        .string("127.0.0.1")
        .u32(port)
        .string("127.0.0.9")
        .u32(4000)
        .take();
  }

  io::Loop loop_;
  PlainConnection connection_{loop_};
  std::vector<ByteVector> heard_;
  uint32_t next_id_ = 0;
};

TEST_F(HostileTest, ConnectionsThatNobodyAskedForAreRefused) {
  ssh::RemoteForwards forwards(*connection_.mux, std::nullopt);
  for (const char* type : {"forwarded-tcpip", "session", "x11", "auth-agent@openssh.com"}) {
    say(forwarded(type, 0));
    hear(MessageType::channel_open_failure);
  }
  EXPECT_EQ(connection_.mux->channel_count(), 0u);
  EXPECT_FALSE(connection_.lost);
}

TEST_F(HostileTest, OnlyTheOneConnectionThatWasAskedForIsTaken) {
  ssh::RemoteForwards forwards(*connection_.mux, std::nullopt);
  std::optional<Endpoint> bound;
  std::optional<Result<net::Accepted>> done;
  const ssh::RemoteBind bind(
      forwards, {Target::from_host("127.0.0.9", 21)}, [&](const Endpoint& at) { bound = at; },
      [&](Result<net::Accepted> outcome) { done = std::move(outcome); });
  say(forwarded("forwarded-tcpip", 0));  // before the port is known
  hear(MessageType::channel_open_failure);
  hear(MessageType::global_request);  // the mux's own
  hear(MessageType::global_request);
  say(MessageWriter(MessageType::request_failure).take());
  say(MessageWriter(MessageType::request_success).u32(5555).take());
  ASSERT_TRUE(run_until([&] { return bound.has_value(); }));
  EXPECT_EQ(bound->port, 5555);
  say(forwarded("forwarded-tcpip", 5556));
  hear(MessageType::channel_open_failure);
  say(forwarded("forwarded-tcpip", 5555, 0));  // packets of no size
  hear(MessageType::channel_open_failure);
  say(forwarded("forwarded-tcpip", 5555));
  say(forwarded("forwarded-tcpip", 5555));
  hear(MessageType::channel_open_confirmation);
  hear(MessageType::channel_open_failure);
  hear(MessageType::global_request);  // cancels
  ASSERT_TRUE(run_until([&] { return done.has_value(); }));
  EXPECT_TRUE(*done);
  EXPECT_EQ((*done)->peer, Endpoint::parse("127.0.0.9:4000").value());
}

TEST_F(HostileTest, APortThatIsNoneIsAnError) {
  ssh::RemoteForwards forwards(*connection_.mux, std::nullopt);
  hear(MessageType::global_request);
  say(MessageWriter(MessageType::request_failure).take());
  for (const uint32_t port : {0u, 65536u}) {
    std::optional<ErrorCode> code;
    const ssh::RemoteBind bind(
        forwards, {Target::from_host("0.0.0.0", 1)}, [](const Endpoint&) { FAIL(); },
        [&](Result<net::Accepted> outcome) { code = outcome.error().code; });
    hear(MessageType::global_request);
    say(MessageWriter(MessageType::request_success).u32(port).take());
    ASSERT_TRUE(run_until([&] { return code.has_value(); }));
    EXPECT_EQ(*code, ErrorCode::protocol);
  }
}

TEST_F(HostileTest, RepliesThatNobodyAskedForAreIgnored) {
  for (int i = 0; i < 100; ++i) say(MessageWriter(MessageType::request_success).u32(1).take());
  turn();
  bool answered = false;
  const ssh::Probe probe(*connection_.mux, [&](Result<void> outcome) {
    EXPECT_TRUE(outcome);
    answered = true;
  });
  turn();
  EXPECT_FALSE(answered);
  say(MessageWriter(MessageType::unimplemented).u32(3).take());
  ASSERT_TRUE(run_until([&] { return answered; }));
  EXPECT_FALSE(connection_.lost);
}

TEST_F(HostileTest, AWindowOfNothingIsWaitedFor) {
  const auto stream = open(0);
  EXPECT_EQ(stream->write(as_bytes("hello")), 0u);
  say(MessageWriter(MessageType::channel_window_adjust).u32(0).u32(3).take());
  size_t written = 0;
  ASSERT_TRUE(run_until([&] {
    if (written == 0) written = stream->write(as_bytes("hello"));
    return written > 0;
  }));
  EXPECT_EQ(written, 3u);
  EXPECT_EQ(as_text(hear(MessageType::channel_data)).substr(9), "hel");
}

TEST_F(HostileTest, PacketsAreAsSmallAsTheServerWants) {
  const auto stream = open(1000, 7);
  ASSERT_EQ(stream->write(as_bytes("twenty bytes of data")), 20u);
  EXPECT_EQ(as_text(hear(MessageType::channel_data)).substr(9), "twenty ");
  EXPECT_EQ(as_text(hear(MessageType::channel_data)).substr(9), "bytes o");
  EXPECT_EQ(as_text(hear(MessageType::channel_data)).substr(9), "f data");
}

TEST_F(HostileTest, WindowsThatOverflowStayWhatTheyMayBe) {
  const auto stream = open(UINT32_MAX, 100);
  for (int i = 0; i < 3; ++i) {
    say(MessageWriter(MessageType::channel_window_adjust).u32(0).u32(UINT32_MAX).take());
  }
  turn();
  EXPECT_EQ(stream->write(as_bytes("hello")), 5u);
  EXPECT_FALSE(connection_.lost);
}

TEST_F(HostileTest, PacketsOfALoginThatIsOverAreDropped) {
  for (const int type : {5, 6, 19, 50, 52, 53, 60, 79}) {
    for (int i = 0; i < 100; ++i) say(ByteVector(1000, static_cast<uint8_t>(type)));
  }
  bool answered = false;
  const ssh::Probe probe(*connection_.mux, [&](Result<void>) { answered = true; });
  say(MessageWriter(MessageType::request_failure).take());
  say(MessageWriter(MessageType::request_failure).take());
  EXPECT_TRUE(run_until([&] { return answered; }));
  EXPECT_FALSE(connection_.lost);
}

TEST_F(HostileTest, KeyExchangeOutOfTurnEndsTheConnection) {
  for (const int type : {21, 30, 31, 49}) {
    PlainConnection connection(loop_);
    connection.peer->say(ByteVector(100, static_cast<uint8_t>(type)));
    ASSERT_TRUE(run_until([&] { return connection.lost.has_value(); })) << type;
    EXPECT_EQ(connection.lost->code, ErrorCode::protocol);
  }
}

TEST_F(HostileTest, WhatEndsTheConnection) {
  const struct {
    const char* what;
    ByteVector message;
  } cases[] = {
      {"a confirmation that nobody asked for",
       MessageWriter(MessageType::channel_open_confirmation).u32(9).u32(1).u32(1).u32(1).take()},
      {"a failure of nothing",
       MessageWriter(MessageType::channel_open_failure).u32(9).u32(1).string("").string("").take()},
      {"the end of no channel", MessageWriter(MessageType::channel_close).u32(9).take()},
      {"data cut short", MessageWriter(MessageType::channel_data).u32(0).u32(50).take()},
      {"an open cut short", MessageWriter(MessageType::channel_open).u32(400).take()},
      {"more data than the window",
       MessageWriter(MessageType::channel_data).u32(0).string(std::string(30000, 'x')).take()},
  };
  for (const auto& one : cases) {
    PlainConnection connection(loop_);
    std::unique_ptr<net::Stream> stream;
    const ssh::ChannelOpen attempt(*connection.mux, Target::from_host("t.test", 1),
                                   ssh::Priority::bulk,
                                   [&](auto result) { stream = std::move(*result); });
    connection.peer->say(MessageWriter(MessageType::channel_open_confirmation)
                             .u32(0)
                             .u32(70)
                             .u32(1000)
                             .u32(100)
                             .take());
    ASSERT_TRUE(run_until([&] { return stream != nullptr; })) << one.what;
    for (int i = 0; i < 3; ++i) connection.peer->say(one.message);  // more than 64 KB of data
    ASSERT_TRUE(run_until([&] { return connection.lost.has_value(); })) << one.what;
    EXPECT_EQ(connection.lost->code, ErrorCode::protocol) << one.what;
    EXPECT_TRUE(run_until([&] { return stream->error() != nullptr; })) << one.what;
  }
}

}  // namespace
}  // namespace tunproxy::testing
