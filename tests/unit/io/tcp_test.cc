#include "core/io/tcp.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/io/direct_proxy.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::io {
namespace {

using testing::run_until;

class TcpTest : public ::testing::Test {
 protected:
  void connect() {
    const auto attempt = dial(loop_, Target(listener_->local()), {}, [this](auto stream) {
      ASSERT_TRUE(stream) << stream.error().message;
      dialled_ = std::move(*stream);
    });
    ASSERT_TRUE(run_until(loop_, [this] { return dialled_ && accepted_; }));
  }

  Endpoint any_port(const char* address) { return {*IpAddress::parse(address), 0}; }

  void SetUp() override {
    auto listener = TcpListener::listen(loop_, any_port("127.0.0.1"),
                                        [this](auto stream) { accepted_ = std::move(stream); });
    ASSERT_TRUE(listener);
    listener_ = std::move(*listener);
  }

  Loop loop_;
  std::unique_ptr<TcpListener> listener_;
  std::unique_ptr<TcpStream> accepted_;
  std::unique_ptr<TcpStream> dialled_;
};

std::string read_all(TcpStream& stream) {
  std::string all;
  for (Bytes bytes = stream.peek(); !bytes.empty(); bytes = stream.peek()) {
    all += as_text(bytes);
    stream.consume(bytes.size());
  }
  return all;
}

TEST_F(TcpTest, WhatNobodyReadsIsChargedAndBoundedByTheMemoryBudget) {
  const auto held_by_stalled = [this] {
    connect();
    size_t held = 0;
    accepted_->on_progress([&] { held = accepted_->peek().size(); });
    const std::string block(1'000'000, 'x');
    dialled_->on_progress([&] { (void)dialled_->write(as_bytes(block)); });
    EXPECT_TRUE(run_until(loop_, [&] { return held > 0; }));
    EXPECT_GE(loop_.memory().used(), held);
    accepted_.reset();
    dialled_.reset();
    EXPECT_EQ(loop_.memory().used(), 0U);
    return held;
  };
  EXPECT_GT(held_by_stalled(), 20'000U);
  loop_.memory().set_cap(64 * 1024);
  EXPECT_LE(held_by_stalled(), MemoryBudget::kSmallestLeast);
}

TEST_F(TcpTest, CarriesMuchBothWaysAndHalfCloses) {
  connect();
  std::string text(20'000'000, '\0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 >> 3);
  size_t sent = 0;
  std::string received;
  const auto send = [&] {
    sent += dialled_->write(as_bytes(std::string_view(text).substr(sent)));
    if (sent == text.size()) dialled_->finish();
  };
  dialled_->on_progress(send);
  // Takes only a part at a time, so that a rest is kept.
  accepted_->on_progress([&] {
    const Bytes bytes = accepted_->peek();
    const Bytes part = bytes.first(std::min<size_t>(bytes.size(), 100'000));
    received += as_text(part);
    accepted_->consume(part.size());
  });
  ASSERT_TRUE(run_until(loop_, [&] {
    received += read_all(*accepted_);
    return accepted_->ended();
  }));
  EXPECT_TRUE(received == text);
  EXPECT_TRUE(dialled_->finished());
  EXPECT_FALSE(dialled_->ended());

  ASSERT_EQ(accepted_->write(as_bytes("answer")), 6U);
  accepted_->finish();
  std::string answer;
  dialled_->on_progress([&] { answer += read_all(*dialled_); });
  ASSERT_TRUE(run_until(loop_, [&] { return dialled_->ended(); }));
  EXPECT_EQ(answer, "answer");
  EXPECT_EQ(dialled_->error(), nullptr);
}

TEST_F(TcpTest, DestroyingAnUnfinishedStreamResetsThePeer) {
  connect();
  dialled_->on_progress([] {});
  accepted_.reset();
  ASSERT_TRUE(run_until(loop_, [&] { return dialled_->error() != nullptr; }));
  EXPECT_EQ(dialled_->error()->code, ErrorCode::reset);
  EXPECT_EQ(dialled_->write(as_bytes("x")), 0U);
}

TEST_F(TcpTest, AResetBehindUnreadDataIsStillNoticed) {
  connect();
  ASSERT_EQ(accepted_->write(as_bytes("unread")), 6U);
  accepted_.reset();
  std::string received;
  dialled_->on_progress([&] { received += read_all(*dialled_); });
  ASSERT_TRUE(run_until(loop_, [&] { return dialled_->error() != nullptr; }));
  EXPECT_EQ(received, "unread");
}

TEST_F(TcpTest, WhatThePeerSaidBeforeItWentIsReadThoughWritingFails) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  TcpStream stream(loop_, UniqueFd(ends[0]));
  UniqueFd peer(ends[1]);
  ASSERT_EQ(::send(peer.get(), "farewell", 8, 0), 8);
  peer.reset();
  EXPECT_EQ(stream.write(as_bytes("too late")), 0U);
  EXPECT_EQ(stream.error(), nullptr);
  std::string received;
  stream.on_progress([&] { received += read_all(stream); });
  ASSERT_TRUE(run_until(loop_, [&] { return stream.error() != nullptr; }));
  EXPECT_EQ(received, "farewell");
}

TEST_F(TcpTest, AWriteThatFailsAfterThePeersEndIsTheEnd) {
  connect();
  dialled_->on_progress([] {});
  accepted_->finish();
  ASSERT_TRUE(run_until(loop_, [&] { return dialled_->ended(); }));
  accepted_.reset();
  ASSERT_TRUE(run_until(loop_, [&] {
    dialled_->write(as_bytes("x"));
    return dialled_->error() != nullptr;
  }));
}

TEST_F(TcpTest, DestroyingAFinishedAndEndedStreamDoesNotReset) {
  connect();
  dialled_->on_progress([] {});
  accepted_->on_progress([] {});
  dialled_->finish();
  ASSERT_TRUE(run_until(loop_, [&] { return accepted_->ended(); }));
  accepted_->finish();
  accepted_.reset();
  ASSERT_TRUE(run_until(loop_, [&] { return dialled_->ended(); }));
  EXPECT_EQ(dialled_->error(), nullptr);
}

TEST_F(TcpTest, RefusedConnectionSaysSo) {
  const Endpoint closed = listener_->local();
  listener_.reset();
  std::optional<ErrorCode> outcome;
  const auto attempt =
      dial(loop_, Target(closed), {}, [&](auto stream) { outcome = stream.error().code; });
  EXPECT_FALSE(outcome);
  ASSERT_TRUE(run_until(loop_, [&] { return outcome.has_value(); }));
  EXPECT_EQ(*outcome, ErrorCode::refused);
}

TEST_F(TcpTest, TriesTheNextAddressWhenOneRefuses) {
  const std::vector<Endpoint> endpoints = {
      {*IpAddress::parse("127.0.0.2"), 1}, {*IpAddress::parse("::1"), 1}, listener_->local()};
  const auto attempt = dial(loop_, endpoints, {}, [&](auto stream) {
    ASSERT_TRUE(stream);
    dialled_ = std::move(*stream);
  });
  EXPECT_TRUE(run_until(loop_, [&] { return dialled_ != nullptr; }));
  EXPECT_EQ(dialled_->peer(), listener_->local());
}

TEST_F(TcpTest, PreparesEverySocketBeforeItConnects) {
  std::vector<int> prepared;
  DialOptions options;
  options.prepare = [&](int fd) -> Result<void> {
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    EXPECT_NE(::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length), 0);
    prepared.push_back(fd);
    return {};
  };
  DirectProxy proxy(loop_, options);
  std::unique_ptr<net::Stream> stream;
  const auto attempt =
      proxy.connect(Target(listener_->local()), [&](auto result) { stream = std::move(*result); });
  ASSERT_TRUE(run_until(loop_, [&] { return stream != nullptr; }));
  EXPECT_EQ(prepared.size(), 1U);
}

TEST_F(TcpTest, ARefusingPreparationFailsTheDial) {
  DialOptions options;
  options.prepare = [](int) -> Result<void> {
    return Error{ErrorCode::no_permission, "protect refused"};
  };
  std::string message;
  const auto attempt = dial(loop_, Target(listener_->local()), options,
                            [&](auto stream) { message = stream.error().message; });
  ASSERT_TRUE(run_until(loop_, [&] { return !message.empty(); }));
  EXPECT_EQ(message, "protect refused");
}

TEST_F(TcpTest, TheAttemptMayDieInItsDone) {
  std::unique_ptr<net::Attempt> attempt;
  attempt = dial(loop_, Target(listener_->local()), {}, [&](auto stream) {
    dialled_ = std::move(*stream);
    attempt.reset();
  });
  EXPECT_TRUE(run_until(loop_, [&] { return dialled_ != nullptr; }));
}

TEST_F(TcpTest, SecondListenerOnThePortFailsClearly) {
  const auto second = TcpListener::listen(loop_, listener_->local(), [](auto) {});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find(listener_->local().to_string()), std::string::npos);
}

}  // namespace
}  // namespace tunproxy::io
