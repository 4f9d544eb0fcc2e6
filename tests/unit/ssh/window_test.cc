// Receive windows: how they follow the way, and share the budget; and how much may be sent ahead.
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <memory>
#include <vector>

#include "core/ssh/channel_queue.h"
#include "core/ssh/channel_window.h"
#include "core/ssh/send_ahead.h"

namespace tunproxy::ssh {
namespace {

constexpr size_t kMega = 1024 * 1024;

// Channels of some sessions.
class Channels : public ::testing::Test {
 protected:
  struct Channel {
    explicit Channel(MemoryBudget& budget) : queue(budget) {}
    ReceiveWindow window;
    ChannelQueue queue;

    size_t held() const { return window.open + queue.size(); }
  };

  std::unique_ptr<Channel> open() {
    auto channel = std::make_unique<Channel>(budget_);
    channel->window.open = share_.initial();
    share_.opened();
    return channel;
  }
  /// The server sends; what comes stays in the queue if the channel stalls.
  void receive(Channel& channel, size_t bytes, Instant now, bool stalls = false) {
    while (bytes > 0) {
      const size_t n = std::min<size_t>(bytes, 32 * 1024);
      ASSERT_TRUE(policy_.on_received(channel.window, n, now));
      Buffer buffer(static_cast<uint8_t*>(std::malloc(n)));
      channel.queue.append({buffer.get(), n}, buffer);
      bytes -= n;
      while (!stalls && !channel.queue.empty()) consume(channel);
    }
  }
  void consume(Channel& channel) {
    channel.queue.consume(channel.queue.front().size());
    channel.window.open += policy_.due(channel.window, channel.queue.size());
  }

  MemoryBudget budget_;
  WindowShare share_{budget_};
  WindowPolicy policy_{share_};
};

TEST_F(Channels, KeepASmallWindowWhileIdleAndGrowWhenBusy) {
  ReceiveWindow window{.open = share_.initial()};
  EXPECT_EQ(window.open, WindowPolicy::kInitial);
  const Instant now{100s};
  ASSERT_TRUE(policy_.on_received(window, 1000, now));
  EXPECT_EQ(policy_.due(window, 1000), 0u);  // not consumed: nothing to give
  EXPECT_EQ(policy_.due(window, 0), 0u);     // too little to be worth a message
  ASSERT_TRUE(policy_.on_received(window, 40000, now));
  EXPECT_EQ(window.open + policy_.due(window, 0), WindowPolicy::kFirst);
  EXPECT_EQ(window.open + 41000 + policy_.due(window, 41000), WindowPolicy::kFirst);
}

TEST_F(Channels, ShareTheBudgetWithThoseOfOtherSessions) {
  std::vector<ReceiveWindow> windows(1000, {.open = WindowPolicy::kInitial});
  WindowPolicy other(share_);
  size_t total = 0;
  for (size_t i = 0; i < windows.size(); ++i) {
    ASSERT_TRUE((i % 2 == 0 ? policy_ : other).on_received(windows[i], 50000, Instant{100s}));
  }
  for (const auto& window : windows) total += window.open + policy_.due(window, 0);
  EXPECT_LE(total, windows.size() * WindowPolicy::kInitial);
  // Those that fell silent give way.
  ASSERT_TRUE(policy_.on_received(windows[0], 10, Instant{103s}));
  EXPECT_EQ(windows[0].open + policy_.due(windows[0], 0), WindowPolicy::kFirst);
}

TEST_F(Channels, KeepASmallBudget) {
  budget_.set_cap(2 * kMega);
  std::vector<ReceiveWindow> windows(16, {.open = WindowPolicy::kInitial});
  for (auto& window : windows) ASSERT_TRUE(policy_.on_received(window, 65000, Instant{100s}));
  size_t total = 0;
  for (const auto& window : windows) total += window.open + policy_.due(window, 0);
  EXPECT_LE(total, kMega);
}

TEST_F(Channels, OpenWithLessTheMoreThereAre) {
  budget_.set_cap(16 * kMega);
  std::vector<std::unique_ptr<Channel>> channels;
  size_t total = 0;
  while (channels.size() < 1000) {
    channels.push_back(open());
    EXPECT_GE(channels.back()->window.open, MemoryBudget::kSmallestLeast);
    total += channels.back()->window.open;
  }
  EXPECT_EQ(channels.front()->window.open, WindowPolicy::kInitial);
  EXPECT_LE(total, budget_.cap());  // though all are filled at once
  share_.closed(channels.size());
  EXPECT_EQ(share_.initial(), WindowPolicy::kInitial);
}

// Each of them was fast before the program that it is for stopped reading.
TEST_F(Channels, ThatStallOneAfterTheOtherStayWithinTheBudget) {
  budget_.set_cap(32 * kMega);
  std::vector<std::unique_ptr<Channel>> channels;
  Instant now{100s};
  while (channels.size() < 400 && budget_.admits()) {
    now += 1s;
    channels.push_back(open());
    Channel& channel = *channels.back();
    for (int i = 0; i < 100; ++i) receive(channel, channel.window.open / 2, now);
    receive(channel, channel.window.open, now, true);
  }
  EXPECT_GT(channels.front()->queue.size(), kMega);
  EXPECT_GT(channels.size(), 200u);
  EXPECT_LE(budget_.used(), budget_.cap());
  // One that does not stall goes on, and has a large window again when there is memory.
  std::unique_ptr<Channel> late = open();
  receive(*late, late->window.open, now);
  EXPECT_GE(late->window.open, budget_.least() / 2);
  EXPECT_LE(late->window.open, WindowPolicy::kInitial);
  share_.closed(channels.size());
  channels.clear();
  EXPECT_EQ(budget_.used(), 0u);
  for (int i = 0; i < 3; ++i) receive(*late, late->window.open, now);
  EXPECT_GT(late->window.open, kMega);
}

TEST_F(Channels, NoticeAServerThatSendsTooMuch) {
  ReceiveWindow window{.open = 100};
  EXPECT_TRUE(policy_.on_received(window, 100, Instant{}));
  EXPECT_FALSE(policy_.on_received(window, 1, Instant{}));
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
  MemoryBudget budget_;
  WindowShare share_{budget_};
  WindowPolicy policy_{share_};
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
