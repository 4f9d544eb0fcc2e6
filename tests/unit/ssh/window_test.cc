// Receive windows: how they follow the way, and share the budget; and how much may be sent ahead.
#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "core/ssh/channel_window.h"
#include "core/ssh/send_ahead.h"

namespace tunproxy::ssh {
namespace {

constexpr size_t kMega = 1024 * 1024;

TEST(WindowPolicy, IdleChannelsKeepASmallWindowAndBusyOnesGrow) {
  WindowPolicy policy;
  ReceiveWindow window{.open = WindowPolicy::kInitial};
  const Instant now{100s};
  ASSERT_TRUE(policy.on_received(window, 1000, now));
  EXPECT_EQ(policy.due(window, 1000), 0u);  // not consumed: nothing to give
  EXPECT_EQ(policy.due(window, 0), 0u);     // too little to be worth a message
  ASSERT_TRUE(policy.on_received(window, 40000, now));
  EXPECT_EQ(window.open + policy.due(window, 0), WindowPolicy::kFirst);
  EXPECT_EQ(window.open + 41000 + policy.due(window, 41000), WindowPolicy::kFirst);
}

TEST(WindowPolicy, ManyActiveChannelsShareTheBudget) {
  WindowPolicy policy;
  std::vector<ReceiveWindow> windows(1000, {.open = WindowPolicy::kInitial});
  size_t total = 0;
  for (auto& window : windows) {
    ASSERT_TRUE(policy.on_received(window, 50000, Instant{100s}));
  }
  for (const auto& window : windows) total += window.open + policy.due(window, 0);
  EXPECT_LE(total, windows.size() * WindowPolicy::kInitial);
  // Those that fell silent give way.
  ASSERT_TRUE(policy.on_received(windows[0], 10, Instant{103s}));
  EXPECT_EQ(windows[0].open + policy.due(windows[0], 0), WindowPolicy::kFirst);
}

TEST(WindowPolicy, ASmallBudgetIsKept) {
  WindowPolicy policy;
  policy.set_budget(kMega);
  std::vector<ReceiveWindow> windows(16, {.open = WindowPolicy::kInitial});
  for (auto& window : windows) ASSERT_TRUE(policy.on_received(window, 65000, Instant{100s}));
  size_t total = 0;
  for (const auto& window : windows) total += window.open + policy.due(window, 0);
  EXPECT_LE(total, kMega);
}

TEST(WindowPolicy, NoticesAServerThatSendsTooMuch) {
  WindowPolicy policy;
  ReceiveWindow window{.open = 100};
  EXPECT_TRUE(policy.on_received(window, 100, Instant{}));
  EXPECT_FALSE(policy.on_received(window, 1, Instant{}));
}

// A server that always has more to send, and a way to it with a delay, a bottleneck and a queue
// before that. In steps of a millisecond; the client consumes at once.
class Way {
 public:
  Way(Duration one_way, size_t bytes_per_ms) : one_way_(one_way), rate_(bytes_per_ms) {
    request_answer();
    run(4 * one_way);  // undisturbed
    credit_ = WindowPolicy::kInitial;
  }

  void run(Duration time) {
    for (const Instant end = now_ + time; now_ < end; now_ += 1ms) step();
  }
  void foreign_queue(Duration delay) { foreign_ = delay; }
  size_t take_received() { return std::exchange(received_, 0); }
  Duration queue() const { return Duration(static_cast<int64_t>(queued_ / rate_)); }
  size_t window() const { return window_.open + policy_.due(window_, 0); }
  // What another transfer would begin with.
  size_t first_window() const {
    const ReceiveWindow fresh{.open = WindowPolicy::kInitial, .received = 40000};
    return fresh.open + policy_.due(fresh, 0);
  }

 private:
  struct Event {
    Instant due;
    size_t bytes;
    bool answer;
  };

  void request_answer() {
    policy_.begin_round(now_);
    up_.push_back({now_ + one_way_, 0, true});
  }

  void step() {
    for (; !up_.empty() && up_.front().due <= now_; up_.pop_front()) {
      credit_ += up_.front().bytes;
      if (up_.front().answer) answers_behind_.push_back(queued_ + credit_);
    }
    queued_ += std::exchange(credit_, 0);
    size_t passed = std::min(queued_, rate_);
    queued_ -= passed;
    while (!answers_behind_.empty() && answers_behind_.front() <= passed) {
      down_.push_back({now_ + one_way_ + foreign_, 0, true});
      answers_behind_.pop_front();
    }
    for (size_t& behind : answers_behind_) behind -= passed;
    down_.push_back({now_ + one_way_ + foreign_, passed, false});
    for (; !down_.empty() && down_.front().due <= now_; down_.pop_front()) arrive(down_.front());
  }

  void arrive(const Event& event) {
    if (event.answer) return policy_.end_round(now_);
    if (event.bytes == 0) return;
    ASSERT_TRUE(policy_.on_received(window_, event.bytes, now_));
    received_ += event.bytes;
    if (const size_t due = policy_.due(window_, 0)) {
      window_.open += due;
      up_.push_back({now_ + one_way_, due, false});
    }
    if (policy_.wants_round(now_)) request_answer();
  }

  const Duration one_way_;
  const size_t rate_;
  Duration foreign_{};
  Instant now_{100s};
  WindowPolicy policy_;
  ReceiveWindow window_{.open = WindowPolicy::kInitial};
  size_t credit_ = 0;
  size_t queued_ = 0;
  size_t received_ = 0;
  std::deque<size_t> answers_behind_;
  std::deque<Event> up_;
  std::deque<Event> down_;
};

TEST(WindowPolicy, GrowsToWhatALongFatWayHolds) {
  Way way(50ms, 100000);  // 800 Mb/s, 100 ms
  way.run(3s);
  (void)way.take_received();
  way.run(1s);
  EXPECT_GT(way.take_received(), 95u * kMega);  // of 100 million
  EXPECT_GE(way.window(), 10u * kMega);
}

TEST(WindowPolicy, LeavesNoLongQueueBeforeANarrowPlace) {
  Way way(20ms, 2500);  // 20 Mb/s, 40 ms
  way.run(4s);
  (void)way.take_received();
  for (int i = 0; i < 20; ++i) {
    way.run(100ms);
    EXPECT_LE(way.queue(), 60ms) << i;
  }
  EXPECT_GT(way.take_received(), 2u * 2400 * 1000);  // it is never empty
  EXPECT_LE(way.first_window(), 512u * 1024);
}

TEST(WindowPolicy, AVeryNarrowPlaceIsNoReasonToGiveUp) {
  Way way(20ms, 125);  // 1 Mb/s
  way.run(60s);
  for (int i = 0; i < 60; ++i) {
    way.run(1s);
    EXPECT_LE(way.queue(), 1s) << i;  // the smallest window takes half of that
  }
}

TEST(WindowPolicy, IgnoresAQueueThatIsNotItsOwn) {
  Way way(20ms, 12500);  // 100 Mb/s
  way.run(2s);
  way.foreign_queue(300ms);  // an upload's, say
  way.run(20s);
  (void)way.take_received();
  way.run(10s);
  EXPECT_GT(way.take_received(), 10u * 8000 * 1000);
}

TEST(SendAhead, FollowsTheRate) {
  SendAhead ahead;
  Instant now{100s};
  EXPECT_EQ(ahead.limit(), SendAhead::kLeast);
  const auto send = [&](size_t bytes_per_ms, Duration time) {
    bool changed = false;
    for (const Instant end = now + time; now < end; now += 1ms) {
      changed |= ahead.on_sent(bytes_per_ms, now);
    }
    return changed;
  };
  EXPECT_FALSE(send(2500, 1s));
  EXPECT_EQ(ahead.limit(), SendAhead::kLeast);
  EXPECT_TRUE(send(10000, 100ms));
  EXPECT_EQ(ahead.limit(), 64u * 1024);
  EXPECT_TRUE(send(1000000, 100ms));
  EXPECT_EQ(ahead.limit(), SendAhead::kMost);
  EXPECT_TRUE(send(100, 1s));
  EXPECT_EQ(ahead.limit(), SendAhead::kLeast);
}

}  // namespace
}  // namespace tunproxy::ssh
