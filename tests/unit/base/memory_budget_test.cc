#include "core/base/memory_budget.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/base/byte_queue.h"

namespace tunproxy {
namespace {

constexpr size_t kMega = size_t{1024} * 1024;

TEST(MemoryBudget, WithoutACapEverythingGoes) {
  MemoryBudget budget;
  budget.charge(SIZE_MAX / 2);
  EXPECT_TRUE(budget.admits());
  EXPECT_GT(budget.allowance(), 1024 * kMega);
}

TEST(MemoryBudget, BuffersThatTakeWhatTheyMayNeverMeetTheCap) {
  MemoryBudget budget(64 * kMega);
  size_t last = budget.allowance();
  EXPECT_EQ(last, 3 * kMega);
  while (budget.free() > 0) {
    const size_t now = budget.allowance();
    EXPECT_LE(now, last);
    last = now;
    budget.charge(now);
  }
  // What is left is for those that hold little, old and new ones.
  EXPECT_EQ(last, budget.least());
  EXPECT_TRUE(budget.admits());
  budget.charge(8 * kMega);
  EXPECT_FALSE(budget.admits());
  EXPECT_EQ(budget.allowance(), budget.least());
  EXPECT_LT(budget.used(), budget.cap());
  budget.release(4 * kMega);
  EXPECT_TRUE(budget.admits());
}

TEST(MemoryBudget, ACapThatSinksTakesNothingAway) {
  MemoryBudget budget(64 * kMega);
  budget.charge(10 * kMega);
  budget.set_cap(4 * kMega);
  EXPECT_EQ(budget.used(), 10 * kMega);
  EXPECT_EQ(budget.free(), 0U);
  EXPECT_FALSE(budget.admits());
  EXPECT_EQ(budget.allowance(), MemoryBudget::kSmallestLeast);
  budget.set_cap(MemoryBudget::kNoCap);
  EXPECT_TRUE(budget.admits());
  EXPECT_EQ(budget.least(), MemoryBudget::kLargestLeast);
}

TEST(MemoryBudget, AChargeGoesWithItsOwner) {
  MemoryBudget budget;
  {
    std::vector<MemoryCharge> charges;
    for (size_t i = 1; i <= 10; ++i) charges.emplace_back(budget, i);  // moves them
    EXPECT_EQ(budget.used(), 55U);
    charges[0] = std::move(charges[9]);
    EXPECT_EQ(budget.used(), 54U);
    charges[0].set(3);
    EXPECT_EQ(budget.used(), 47U);
    EXPECT_EQ(charges[0].bytes(), 3U);
  }
  EXPECT_EQ(budget.used(), 0U);
}

TEST(MemoryBudget, AQueueIsChargedForItsStorage) {
  MemoryBudget budget;
  {
    ByteQueue queue(kMega, &budget);
    EXPECT_EQ(budget.used(), 0U);
    const ByteVector block(10000);
    size_t last = 0;
    for (int i = 0; i < 20; ++i) {
      queue.append(block);
      EXPECT_GE(budget.used(), queue.size());
      EXPECT_LE(budget.used(), 2 * queue.size());
      EXPECT_GE(budget.used(), last);
      last = budget.used();
    }
    queue.consume(queue.size());
    EXPECT_EQ(budget.used(), 0U);
    queue.append(block);
  }
  EXPECT_EQ(budget.used(), 0U);
}

}  // namespace
}  // namespace tunproxy
