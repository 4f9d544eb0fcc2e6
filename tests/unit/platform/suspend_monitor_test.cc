#include "platform/linux/suspend_monitor.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <utility>

#include "core/io/timer.h"

namespace tunproxy::linux_host {
namespace {

// Clocks and jumps of our own making: nobody suspends the machine of a test, or sets its clock.
class SuspendMonitorTest : public ::testing::Test {
 protected:
  SuspendMonitorTest() {
    UniqueFd jumps(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    jumps_ = jumps.get();
    monitor_ = std::make_unique<SuspendMonitor>(
        loop_, std::move(jumps), [this] { return asleep_; }, [this] { ++woke_; });
  }

  /// The wall clock jumps; the loop sees it.
  void jump() {
    const uint64_t one = 1;
    ASSERT_EQ(::write(jumps_, &one, sizeof one), static_cast<ssize_t>(sizeof one));
    settle();
  }
  void settle() {
    bool over = false;
    io::Timer timer(loop_, [&] { over = true; });
    timer.start(20ms);
    while (!over) loop_.run_once();
  }

  io::Loop loop_;
  int jumps_ = -1;
  Duration asleep_ = 7h;  // of former suspends
  int woke_ = 0;
  std::unique_ptr<SuspendMonitor> monitor_;
};

TEST_F(SuspendMonitorTest, TellsOfEachSuspendOnce) {
  settle();
  EXPECT_EQ(woke_, 0);
  asleep_ += 5min;
  jump();
  EXPECT_EQ(woke_, 1);
  jump();
  EXPECT_EQ(woke_, 1);
  asleep_ += SuspendMonitor::kShortest;
  jump();
  EXPECT_EQ(woke_, 2);
}

TEST_F(SuspendMonitorTest, AClockThatIsSetOrAShortNapIsNoSuspend) {
  jump();
  asleep_ += SuspendMonitor::kShortest / 2;
  jump();
  EXPECT_EQ(woke_, 0);
}

TEST_F(SuspendMonitorTest, TheKernelHasSuchATimerAndItIsSilent) {
  auto monitor = SuspendMonitor::open(loop_, [this] { ++woke_; });
  ASSERT_TRUE(monitor) << monitor.error().message;
  settle();
  EXPECT_EQ(woke_, 0);
}

}  // namespace
}  // namespace tunproxy::linux_host
