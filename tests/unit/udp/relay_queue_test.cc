#include "core/udp/relay_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tunproxy::udp {
namespace {

const Target kTarget(IpAddress(), 9);
const Instant kStart{};

ByteVector text(int number) {
  const std::string digits = std::to_string(number);
  return {digits.begin(), digits.end()};
}

void push(RelayQueue& queue, int number, Instant now = kStart) {
  EXPECT_TRUE(queue.push_datagram(1, kTarget, text(number), now));
}

/// Takes what is queued, at most `step` bytes at a time, and says what it was: datagrams by their
/// text, pings as "ping".
std::vector<std::string> drain(RelayQueue& queue, size_t step = SIZE_MAX, Instant now = kStart,
                               ByteVector taken = {}) {
  for (Bytes bytes = queue.front(now); !bytes.empty(); bytes = queue.front(now)) {
    const size_t n = std::min(step, bytes.size());
    append(taken, bytes.first(n));
    queue.consume(n);
  }
  std::vector<std::string> seen;
  Bytes rest(taken);
  for (auto message = decode_relay(rest); message && *message; message = decode_relay(rest)) {
    const auto* packet = std::get_if<UdpPacket>(&(*message)->body);
    seen.emplace_back(packet != nullptr ? as_text(packet->data) : "ping");
  }
  EXPECT_TRUE(rest.empty()) << "a message in pieces";
  return seen;
}

using Seen = std::vector<std::string>;

TEST(RelayQueue, KeepsTheOrderOfDatagrams) {
  for (const size_t step : {size_t{1}, size_t{7}, SIZE_MAX}) {
    RelayQueue queue({});
    for (int i = 0; i < 5; ++i) push(queue, i);
    EXPECT_EQ(drain(queue, step), (Seen{"0", "1", "2", "3", "4"}));
    EXPECT_TRUE(queue.empty());
  }
}

TEST(RelayQueue, DropsTheOldestOfTooMany) {
  RelayQueue queue({.datagrams = 3});
  for (int i = 0; i < 10; ++i) push(queue, i);
  EXPECT_TRUE(queue.full());
  EXPECT_EQ(queue.dropped().sum(), 7u);
  EXPECT_EQ(drain(queue), (Seen{"7", "8", "9"}));
}

TEST(RelayQueue, DropsTheOldestOfTooManyBytes) {
  RelayQueue queue({.bytes = 100000});
  const ByteVector large(40000);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(queue.push_datagram(1, kTarget, large, kStart));
  EXPECT_EQ(queue.datagrams(), 2u);
  EXPECT_LE(queue.bytes(), 100000u);
  EXPECT_EQ(queue.dropped().sum(), 2u);
}

TEST(RelayQueue, DropsWhatIsTooOld) {
  RelayQueue queue({.age = 100ms});
  push(queue, 1, kStart);
  push(queue, 2, kStart + 50ms);
  push(queue, 3, kStart + 150ms);
  EXPECT_EQ(drain(queue, SIZE_MAX, kStart + 150ms), (Seen{"2", "3"}));
  EXPECT_EQ(queue.dropped().sum(), 1u);
}

TEST(RelayQueue, CompletesADatagramOfWhichAPartIsOut) {
  RelayQueue queue({.datagrams = 2, .age = 100ms});
  push(queue, 0);
  const Bytes front = queue.front(kStart);
  const ByteVector begun(front.begin(), front.begin() + 5);
  queue.consume(begun.size());
  for (int i = 1; i < 100; ++i) push(queue, i, kStart + 1s);
  EXPECT_EQ(queue.dropped().sum(), 98u);
  EXPECT_EQ(drain(queue, 1, kStart + 1s, begun), (Seen{"0", "99"}));
}

TEST(RelayQueue, LetsOtherMessagesOvertakeAtTheNextBoundary) {
  RelayQueue queue({});
  push(queue, 1);
  push(queue, 2);
  const Bytes front = queue.front(kStart);
  const ByteVector begun(front.begin(), front.begin() + 5);
  queue.consume(begun.size());
  EXPECT_TRUE(queue.push({0, Ping{}}));
  EXPECT_EQ(drain(queue, 3, kStart, begun), (Seen{"1", "ping", "2"}));
}

TEST(RelayQueue, NeverDropsOtherMessages) {
  RelayQueue queue({.datagrams = 1, .bytes = 1, .age = 1ms});
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(queue.push({0, Ping{}}));
  push(queue, 1);
  EXPECT_EQ(drain(queue, SIZE_MAX, kStart + 1h), Seen(100, "ping"));
}

TEST(RelayQueue, RefusesWhatTheProtocolCannotCarry) {
  RelayQueue queue({});
  EXPECT_FALSE(queue.push_datagram(1, kTarget, ByteVector(kRelayMaxMessage), kStart));
  EXPECT_FALSE(queue.push({1, Resolve{ByteVector(kRelayMaxMessage)}}));
  EXPECT_TRUE(queue.empty());
}

TEST(RelayQueue, BoundsOtherMessagesToo) {
  RelayQueue queue({});
  size_t taken = 0;
  while (taken < 1000000 && queue.push({0, Ping{}})) ++taken;
  EXPECT_LE(queue.control_size(), RelayQueue::kMaxControl + 15);
  queue.consume(queue.front(kStart).size());
  EXPECT_TRUE(queue.push({0, Ping{}}));
}

TEST(RelayQueue, MovesManyBytesThroughWithoutGrowing) {
  RelayQueue queue({.datagrams = 64, .bytes = 1024 * 1024});
  const ByteVector payload(30000);
  size_t taken = 0;
  for (int i = 0; i < 2000; ++i) {
    EXPECT_TRUE(queue.push_datagram(1, kTarget, payload, kStart));
    const size_t n = std::min<size_t>(queue.front(kStart).size(), i < 20 ? 10000 : 40000);
    queue.consume(n);
    taken += n;
  }
  while (!queue.empty()) {
    taken += queue.front(kStart).size();
    queue.consume(queue.front(kStart).size());
  }
  EXPECT_EQ(queue.dropped().sum(), 0u);
  EXPECT_EQ(taken, 2000u * (payload.size() + 4 + 7 + 10));
}

}  // namespace
}  // namespace tunproxy::udp
