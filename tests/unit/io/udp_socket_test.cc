#include "core/io/udp_socket.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/memory_stream.h"

namespace tunproxy::io {
namespace {

using testing::run_until;

struct Peer {
  explicit Peer(Loop& loop, const char* address = "127.0.0.1")
      : socket(*UdpSocket::bind(loop, {*IpAddress::parse(address), 0},
                                [this](const Endpoint& from, Bytes payload) {
                                  received.emplace_back(from, std::string(as_text(payload)));
                                })) {}
  std::vector<std::pair<Endpoint, std::string>> received;
  std::unique_ptr<UdpSocket> socket;
};

class UdpSocketTest : public ::testing::TestWithParam<const char*> {
 protected:
  Loop loop_;
};

INSTANTIATE_TEST_SUITE_P(Families, UdpSocketTest, ::testing::Values("127.0.0.1", "::1"),
                         [](const auto& test) { return test.index == 0 ? "IPv4" : "IPv6"; });

TEST_P(UdpSocketTest, CarriesDatagramsOfAllSizes) {
  Peer a(loop_, GetParam());
  Peer b(loop_, GetParam());
  std::vector<std::string> sent;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{1472}, size_t{9000}, size_t{65507}}) {
    sent.emplace_back(size, static_cast<char>('a' + sent.size()));
    EXPECT_TRUE(a.socket->send(b.socket->local(), as_bytes(sent.back())));
  }
  ASSERT_TRUE(run_until(loop_, [&] { return b.received.size() == sent.size(); }));
  for (size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(b.received[i], std::pair(a.socket->local(), sent[i]));
  }
}

TEST_P(UdpSocketTest, SendsManyInOrder) {
  Peer a(loop_, GetParam());
  Peer b(loop_, GetParam());
  constexpr size_t kCount = 3 * UdpSocket::kBatch + 5;
  std::vector<std::string> texts;
  std::vector<UdpSocket::Datagram> datagrams;
  for (size_t i = 0; i < kCount; ++i) texts.push_back(std::to_string(i));
  for (const auto& text : texts) datagrams.push_back({b.socket->local(), as_bytes(text)});
  EXPECT_EQ(a.socket->send(datagrams), kCount);
  ASSERT_TRUE(run_until(loop_, [&] { return b.received.size() == kCount; }));
  for (size_t i = 0; i < kCount; ++i) EXPECT_EQ(b.received[i].second, texts[i]);
}

TEST_P(UdpSocketTest, GoesOnAfterDatagramsThatCannotBeSent) {
  Peer a(loop_, GetParam());
  Peer b(loop_, GetParam());
  const std::string too_long(70000, 'x');
  const Endpoint no_port{b.socket->local().address, 0};
  const Endpoint to = b.socket->local();
  EXPECT_FALSE(a.socket->send(to, as_bytes(too_long)));
  const std::vector<UdpSocket::Datagram> datagrams = {{to, as_bytes("1")},
                                                      {to, as_bytes(too_long)},
                                                      {no_port, as_bytes("x")},
                                                      {to, as_bytes("2")},
                                                      {to, as_bytes(too_long)}};
  EXPECT_EQ(a.socket->send(datagrams), 2u);
  EXPECT_EQ(a.socket->unsent(), 4u);
  ASSERT_TRUE(run_until(loop_, [&] { return b.received.size() == 2; }));
  EXPECT_EQ(b.received[1].second, "2");
}

TEST_P(UdpSocketTest, SurvivesARefusal) {
  Peer a(loop_, GetParam());
  Endpoint nobody;
  {
    Peer gone(loop_, GetParam());
    nobody = gone.socket->local();
  }
  for (int i = 0; i < 5; ++i) {
    a.socket->send(nobody, as_bytes("x"));
    loop_.run_once(false);
  }
  Peer b(loop_, GetParam());
  EXPECT_TRUE(a.socket->send(b.socket->local(), as_bytes("hello")));
  EXPECT_TRUE(run_until(loop_, [&] { return b.received.size() == 1; }));
}

TEST_F(UdpSocketTest, SaysWhyItCannotBind) {
  Peer a(loop_);
  const auto ignore = [](const Endpoint&, Bytes) {};
  EXPECT_FALSE(UdpSocket::bind(loop_, a.socket->local(), ignore));
  const auto refused = UdpSocket::bind(loop_, {IpAddress(), 0}, ignore, [](int) -> Result<void> {
    return Error{ErrorCode::not_allowed, "no"};
  });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::not_allowed);
}

}  // namespace
}  // namespace tunproxy::io
