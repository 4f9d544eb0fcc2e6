#include "core/base/byte_queue.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tunproxy {
namespace {

TEST(ByteQueue, TakesWhatFits) {
  ByteQueue queue(5);
  EXPECT_EQ(queue.append(as_bytes("abc")), 3U);
  EXPECT_EQ(queue.append(as_bytes("defg")), 2U);
  EXPECT_EQ(as_text(queue.front()), "abcde");
  EXPECT_EQ(queue.room(), 0U);
  queue.consume(2);
  EXPECT_EQ(as_text(queue.front()), "cde");
  EXPECT_EQ(queue.room(), 2U);
}

TEST(ByteQueue, AppendAllIgnoresTheLimit) {
  ByteQueue queue(2);
  queue.append_all(as_bytes("abcdef"));
  EXPECT_EQ(queue.size(), 6U);
  EXPECT_EQ(queue.room(), 0U);
}

TEST(ByteQueue, PrepareAndCommit) {
  ByteQueue queue(100);
  MutableBytes space = queue.prepare(3);
  ASSERT_GE(space.size(), 3U);
  space[0] = 'x';
  space[1] = 'y';
  queue.commit(2);
  EXPECT_EQ(as_text(queue.front()), "xy");
}

TEST(ByteQueue, KeepsOrderUnderRandomUse) {
  std::mt19937 random(1);
  ByteQueue queue(100'000);
  std::string model;
  uint8_t next = 0;
  for (int round = 0; round < 20'000; ++round) {
    if (random() % 2 == 0) {
      std::string chunk(random() % 3000, '\0');
      for (char& c : chunk) c = static_cast<char>(next++);
      model += chunk.substr(0, queue.append(as_bytes(chunk)));
    } else if (!queue.empty()) {
      const size_t n = random() % queue.size() + 1;
      queue.consume(n);
      model.erase(0, n);
    }
    ASSERT_EQ(queue.size(), model.size());
    ASSERT_EQ(as_text(queue.front()), model);
  }
}

}  // namespace
}  // namespace tunproxy
