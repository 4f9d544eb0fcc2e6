#include <algorithm>

#include "tests/unit/tun2socks/fixture.h"

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

}  // namespace
}  // namespace tunproxy::testing
