#include <algorithm>

#include "tests/unit/tun2socks/fixture.h"
#include "tun2socks/ip_writer.h"

namespace tunproxy::testing {
namespace {

class Fragments : public EngineTest {
 protected:
  void expect_echo(const ByteVector& data) {
    const SeenPacket reply = next_packet();
    const ByteVector echoed(reply.payload.begin() + 8, reply.payload.end());
    EXPECT_EQ(echoed.size(), data.size());
    const auto differs = std::mismatch(echoed.begin(), echoed.end(), data.begin(), data.end());
    EXPECT_TRUE(echoed == data) << "from byte " << differs.first - echoed.begin();
  }
};

ByteVector pattern(size_t n) {
  ByteVector bytes(n);
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<uint8_t>(i * 7);
  return bytes;
}

TEST_F(Fragments, InAnyOrderOverBothVersions) {
  for (const bool v6 : {false, true}) {
    const Client app = client(1, v6);
    const ByteVector data = pattern(3000);
    auto pieces = fragment(make_echo(app.self.address, app.server.address, data), 1000, 77);
    ASSERT_EQ(pieces.size(), 4U);
    std::swap(pieces[0], pieces[3]);
    std::swap(pieces[1], pieces[2]);
    for (size_t i = 0; i < pieces.size(); ++i) {
      EXPECT_TRUE(silent());
      deliver(pieces[i]);
    }
    expect_echo(data);
  }
}

TEST_F(Fragments, TcpSegmentsToo) {
  Client app = client();
  auto far = open(app);
  forget_packets();
  for (auto& piece : fragment(app.segment(kAck, std::string(2000, 'f')), 600, 5)) deliver(piece);
  EXPECT_EQ(far->read_all(), std::string(2000, 'f'));
}

TEST_F(Fragments, OverlappingAndBrokenOnesAreHarmless) {
  const Client app = client();
  const ByteVector packet = make_echo(app.self.address, app.server.address, pattern(2000));
  auto pieces = fragment(packet, 800, 9);
  auto others = fragment(packet, 400, 9);
  for (auto& piece : others) deliver(piece);
  for (auto& piece : pieces) deliver(piece);
  ByteVector odd = pieces[0];
  odd.resize(odd.size() - 3);
  store_be16(&odd[2], static_cast<uint16_t>(odd.size()));
  deliver(odd);
}

TEST_F(Fragments, AreBoundedAndTheLatestWin) {
  const Client app = client();
  const ByteVector data = pattern(1000);
  const ByteVector packet = make_echo(app.self.address, app.server.address, data);
  for (uint32_t id = 0; id < 1000; ++id) deliver(fragment(packet, 504, id)[0]);
  deliver(fragment(packet, 504, 999)[1]);
  expect_echo(data);
  deliver(fragment(packet, 504, 3)[1]);
  EXPECT_TRUE(silent()) << "the oldest were given up";
}

TEST_F(Fragments, OverlapEndsThePacket) {
  const Client app = client();
  auto pieces = fragment(make_echo(app.self.address, app.server.address, pattern(2000)), 800, 9);
  ASSERT_EQ(pieces.size(), 3U);
  ByteVector shifted = pieces[1];
  store_be16(&shifted[6], static_cast<uint16_t>(0x2000 | 99));  // 8 bytes too early
  tun2socks::put_ip_checksum(MutableBytes(shifted).first(20));
  deliver(pieces[0]);
  deliver(shifted);
  deliver(pieces[1]);
  deliver(pieces[2]);
  EXPECT_TRUE(silent());
  EXPECT_EQ(engine_->stats().dropped(tun2socks::Drop::fragment_limit), 1U);
}

TEST_F(Fragments, RepeatedOnesDoNoHarm) {
  const Client app = client();
  const ByteVector data = pattern(2000);
  auto pieces = fragment(make_echo(app.self.address, app.server.address, data), 800, 9);
  for (const size_t i : {1, 0, 1, 0, 2}) deliver(pieces[i]);
  expect_echo(data);
}

TEST_F(Fragments, TwoLastOnesMustAgree) {
  const Client app = client();
  const auto longer =
      fragment(make_echo(app.self.address, app.server.address, pattern(2000)), 800, 9);
  const auto shorter =
      fragment(make_echo(app.self.address, app.server.address, pattern(1000)), 800, 9);
  deliver(longer[2]);
  deliver(shorter[1]);
  EXPECT_EQ(engine_->stats().dropped(tun2socks::Drop::fragment_limit), 1U);
}

TEST_F(Fragments, LoneOneIsWhole) {
  const Client app = client(1, true);
  const ByteVector data = pattern(100);
  const auto pieces = fragment(make_echo(app.self.address, app.server.address, data), 800, 9);
  ASSERT_EQ(pieces.size(), 1U);
  deliver(pieces[0]);
  expect_echo(data);
}

TEST_F(Fragments, ExtensionHeadersStay) {
  const Client app = client(1, true);
  const ByteVector data = pattern(1000);
  for (auto& piece : fragment(make_echo(app.self.address, app.server.address, data), 504, 9)) {
    // A destination options header in front of the fragment header.
    const ByteVector options = {44, 0, 1, 4, 0, 0, 0, 0};
    piece[6] = 60;
    piece.insert(piece.begin() + 40, options.begin(), options.end());
    store_be16(&piece[4], static_cast<uint16_t>(piece.size() - 40));
    deliver(piece);
  }
  EXPECT_EQ(engine_->stats().dropped(tun2socks::Drop::malformed), 0U);
  EXPECT_EQ(engine_->stats().dropped(tun2socks::Drop::fragment_limit), 0U);
  EXPECT_EQ(engine_->stats().echo_replies, 1U);
}

TEST_F(Fragments, NothingPassesTheLongestPacket) {
  const Client app = client();
  auto pieces = fragment(make_echo(app.self.address, app.server.address, pattern(2000)), 800, 9);
  store_be16(&pieces[2][6], 8190);
  tun2socks::put_ip_checksum(MutableBytes(pieces[2]).first(20));
  deliver(pieces[2]);
  EXPECT_EQ(engine_->stats().dropped(tun2socks::Drop::fragment_limit), 1U);
}

}  // namespace
}  // namespace tunproxy::testing
