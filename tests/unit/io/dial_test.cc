// Dialling a peer that does not answer at first, and connections that outlast its silence.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "core/io/tcp.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::io {
namespace {

using testing::run_until;

// A port that answers no SYN, since its backlog is full, until open().
class SilentPort {
 public:
  SilentPort() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_storage address{};
    const unsigned length = Endpoint{*IpAddress::parse("127.0.0.1"), 0}.to_sockaddr(&address);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(::listen(listener_.get(), 0), 0);
    socklen_t size = sizeof address;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    at_ = Endpoint::from(reinterpret_cast<sockaddr*>(&address));
    while (answers(reinterpret_cast<sockaddr*>(&address), size)) {
    }
  }

  const Endpoint& at() const { return at_; }
  void open() {
    EXPECT_EQ(::listen(listener_.get(), 100), 0);
    while (::accept(listener_.get(), nullptr, nullptr) >= 0) {
    }
  }

 private:
  bool answers(const sockaddr* address, socklen_t size) {
    fill_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    ::connect(fill_.back().get(), address, size);
    pollfd connected{fill_.back().get(), POLLOUT, 0};
    return ::poll(&connected, 1, 50) == 1;
  }

  UniqueFd listener_;
  Endpoint at_;
  std::vector<UniqueFd> fill_;
};

class DialTest : public ::testing::Test {
 protected:
  DialTest() {
    options_.prepare = [this](int fd) -> Result<void> {
      fds_.insert(fd);
      ++sockets_;
      return {};
    };
  }
  std::unique_ptr<net::Attempt> start(std::vector<Endpoint> to) {
    return dial(loop_, std::move(to), options_, [this](auto stream) {
      if (stream) stream_ = std::move(*stream);
      outcome_ = stream ? ErrorCode::general : stream.error().code;
    });
  }

  Loop loop_;
  DialOptions options_;
  size_t sockets_ = 0;
  std::set<int> fds_;
  std::unique_ptr<TcpStream> stream_;
  std::optional<ErrorCode> outcome_;
};

TEST_F(DialTest, ASilentAddressIsTriedOnceUnlessToldOtherwise) {
  const SilentPort port;
  options_.timeout = 300ms;
  const auto attempt = start({port.at()});
  ASSERT_TRUE(run_until(loop_, [&] { return outcome_.has_value(); }));
  EXPECT_EQ(*outcome_, ErrorCode::timed_out);
  EXPECT_EQ(sockets_, 1U);
}

TEST_F(DialTest, ASilentAddressIsTriedAgainAndAgainByFewSocketsAtATime) {
  SilentPort port;
  options_.again = 50ms;
  options_.timeout = 60s;
  const auto attempt = start({port.at()});
  ASSERT_TRUE(run_until(loop_, [&] { return sockets_ >= 12; }));
  EXPECT_FALSE(outcome_);
  EXPECT_LE(fds_.size(), 7U) << "descriptors are taken again: the former ones are closed";
  port.open();
  ASSERT_TRUE(run_until(loop_, [&] { return outcome_.has_value(); }));
  ASSERT_TRUE(stream_);
  EXPECT_EQ(stream_->peer(), port.at());
}

TEST_F(DialTest, AnAddressThatRefusesDoesNotEndTheTriesOfASilentOne) {
  SilentPort port;
  options_.again = 100ms;
  options_.timeout = 60s;
  const auto attempt = start({{*IpAddress::parse("127.0.0.2"), 1}, port.at()});
  ASSERT_TRUE(run_until(loop_, [&] { return sockets_ >= 10; }));
  EXPECT_FALSE(outcome_);
  port.open();
  ASSERT_TRUE(run_until(loop_, [&] { return outcome_.has_value(); }));
  EXPECT_TRUE(stream_);
}

TEST_F(DialTest, AllThatRefuseEndItAtOnce) {
  options_.again = 50ms;
  const auto attempt =
      start({{*IpAddress::parse("127.0.0.2"), 1}, {*IpAddress::parse("127.0.0.3"), 1}});
  ASSERT_TRUE(run_until(loop_, [&] { return outcome_.has_value(); }));
  EXPECT_EQ(*outcome_, ErrorCode::refused);
  EXPECT_EQ(sockets_, 2U);
}

#ifdef __linux__
TEST_F(DialTest, HowMuchSilenceAConnectionOutlastsIsTheKernelsToKnow) {
  std::unique_ptr<TcpStream> accepted;
  const auto listener =
      TcpListener::listen(loop_, {*IpAddress::parse("127.0.0.1"), 0},
                          [&](std::unique_ptr<TcpStream> stream) { accepted = std::move(stream); });
  ASSERT_TRUE(listener);
  const auto attempt = start({(*listener)->local()});
  ASSERT_TRUE(run_until(loop_, [&] { return stream_ != nullptr; }));
  const auto user_timeout = [&] {
    int value = -1;
    socklen_t length = sizeof value;
    ::getsockopt(stream_->fd(), IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &length);
    return value;
  };
  ASSERT_TRUE(notice_dead_peer(stream_->fd(), 45s));
  stream_->outlast(15s);
  EXPECT_EQ(user_timeout(), 15000);
  int keepalive = -1;
  socklen_t length = sizeof keepalive;
  ::getsockopt(stream_->fd(), SOL_SOCKET, SO_KEEPALIVE, &keepalive, &length);
  EXPECT_EQ(keepalive, 0) << "who watches the peer himself wants no other to wake the radio";
  stream_->outlast(0s);
  EXPECT_GT(user_timeout(), 24 * 3600 * 1000) << "0 would mean: after some tries";
}
#endif

}  // namespace
}  // namespace tunproxy::io
