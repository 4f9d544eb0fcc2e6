#include "core/io/loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/base/log.h"
#include "core/base/unique_fd.h"
#include "core/io/fd_watcher.h"
#include "core/io/resolver.h"
#include "core/io/signal.h"
#include "core/io/threads.h"
#include "core/io/timer.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::io {
namespace {

using testing::run_until;

TEST(Loop, RunsPostedFunctionsInOrderFromOtherThreads) {
  Loop loop;
  std::vector<int> order;
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) loop.post([&order, i] { order.push_back(i); });
    loop.stop();
  });
  loop.run();
  other.join();
  ASSERT_EQ(order.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(Loop, WhatIsPostedTooLateNeverRuns) {
  bool ran = false;
  auto held = std::make_shared<int>(7);
  {
    Loop loop;
    loop.post([&loop] { loop.stop(); });
    loop.run();
    loop.post([&ran, held] { ran = true; });
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_FALSE(ran);
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Loop, ThrowsWhereThereAreNoDescriptors) {
  rlimit former{};
  ::getrlimit(RLIMIT_NOFILE, &former);
  const rlimit none{3, former.rlim_max};  // those of the standard streams
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_THROW(Loop(), std::runtime_error);
  ::setrlimit(RLIMIT_NOFILE, &former);
  Loop loop;  // and nothing of the failed one is in the way
}

TEST(Loop, RetiresOnlyAfterTheCallback) {
  Loop loop;
  bool alive = false;
  struct Owner {
    explicit Owner(bool* flag) : alive(flag) { *alive = true; }
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    ~Owner() { *alive = false; }
    bool* alive;
  };
  auto owner = std::make_unique<Owner>(&alive);
  loop.post([&] {
    loop.retire(std::move(owner));
    EXPECT_TRUE(alive);
  });
  EXPECT_TRUE(run_until(loop, [&] { return !alive; }));
}

TEST(Task, RunsOnceHoweverOftenItIsScheduled) {
  Loop loop;
  int runs = 0;
  Task task(loop, [&] { ++runs; });
  task.schedule();
  task.schedule();
  EXPECT_EQ(runs, 0);
  loop.run_once();
  loop.run_once(false);
  EXPECT_EQ(runs, 1);
}

TEST(Task, ThatSchedulesItselfDoesNotStarveTimers) {
  Loop loop;
  bool expired = false;
  std::unique_ptr<Task> task;
  task = std::make_unique<Task>(loop, [&] { task->schedule(); });
  task->schedule();
  Timer timer(loop, [&] { expired = true; });
  timer.start(1ms);
  EXPECT_TRUE(run_until(loop, [&] { return expired; }));
}

TEST(Task, MayCancelAndDestroyOthersWhileTheyWait) {
  Loop loop;
  bool ran = false;
  auto victim = std::make_unique<Task>(loop, [&] { ran = true; });
  Task killer(loop, [&] { victim.reset(); });
  killer.schedule();
  victim->schedule();
  loop.run_once();
  loop.run_once(false);
  EXPECT_FALSE(ran);
}

TEST(Timer, IsOneShotAndStops) {
  Loop loop;
  int expiries = 0;
  Timer timer(loop, [&] { ++expiries; });
  timer.start(0ms);
  EXPECT_TRUE(timer.active());
  EXPECT_TRUE(run_until(loop, [&] { return expiries == 1; }));
  EXPECT_FALSE(timer.active());
  timer.start(1ms);
  timer.stop();
  Timer later(loop, [&] { expiries += 10; });
  later.start(3ms);
  EXPECT_TRUE(run_until(loop, [&] { return expiries == 11; }));
}

TEST(Work, RunsInAnotherThreadAndAnswersInTheLoop) {
  Loop loop;
  std::thread::id worker;
  bool done = false;
  const auto attempt =
      loop.work([&] { worker = std::this_thread::get_id(); }, [&] { done = true; });
  EXPECT_TRUE(run_until(loop, [&] { return done; }));
  EXPECT_NE(worker, std::this_thread::get_id());
}

TEST(Work, LogsWhereTheLoopDoes) {
  Loop loop;
  std::string said;
  const log::UseSink use(std::make_shared<log::Sink>(
      log::Sink{log::Level::info, [&](auto, auto line) { said = line; }}));
  bool done = false;
  const auto attempt = loop.work([] { log::info("from the pool"); }, [&] { done = true; });
  EXPECT_TRUE(run_until(loop, [&] { return done; }));
  EXPECT_EQ(said, "from the pool");
}

TEST(Work, CancelledAttemptNeverAnswers) {
  Loop loop;
  bool answered = false;
  std::atomic<bool> release = false;
  auto blocked = loop.work(
      [&] {
        while (!release) std::this_thread::yield();
      },
      [&] { answered = true; });
  blocked.reset();
  release = true;
  bool other = false;
  const auto second = loop.work([] {}, [&] { other = true; });
  EXPECT_TRUE(run_until(loop, [&] { return other; }));
  EXPECT_FALSE(answered);
}

// More than libuv's pool has, which is of the process: others go on all the same.
TEST(RunInThread, JobsThatBlockHoldUpNobodyElse) {
  constexpr size_t kBlocked = 8;
  Loop other;
  Loop loop;
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  size_t ended = 0;
  std::vector<std::unique_ptr<net::Attempt>> blocked;
  for (size_t i = 0; i < kBlocked; ++i) {
    blocked.push_back(other.run_in_thread([released] { released.wait(); }, [&] { ++ended; }));
  }
  bool in_thread = false;
  bool in_pool = false;
  bool looked_up = false;
  const auto job = loop.run_in_thread([] {}, [&] { in_thread = true; });
  const auto work = loop.work([] {}, [&] { in_pool = true; });
  const auto name =
      resolve(loop, *Target::parse("localhost:1"), [&](const auto&) { looked_up = true; });
  EXPECT_TRUE(run_until(loop, [&] { return in_thread && in_pool && looked_up; }));
  EXPECT_EQ(ended, 0U);
  release.set_value();
  EXPECT_TRUE(run_until(other, [&] { return ended == kBlocked; }));
}

TEST(RunInThread, TooManyJobsWaitForTheirTurn) {
  Loop loop;
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  std::atomic<size_t> begun = 0;
  std::vector<size_t> ended;
  std::vector<std::unique_ptr<net::Attempt>> jobs;
  for (size_t i = 0; i < Threads::kMost + 3; ++i) {
    jobs.push_back(loop.run_in_thread(
        [&begun, released] {
          ++begun;
          released.wait();
        },
        [&ended, i] { ended.push_back(i); }));
  }
  auto kept = std::make_shared<int>();
  auto waits = loop.run_in_thread([kept] {}, [] { FAIL(); });
  waits.reset();
  EXPECT_EQ(kept.use_count(), 1) << "nothing stays in the queue";
  jobs[Threads::kMost + 1].reset();
  EXPECT_TRUE(run_until(loop, [&] { return begun == Threads::kMost; }));
  release.set_value();
  EXPECT_TRUE(run_until(loop, [&] { return ended.size() == Threads::kMost + 2; }));
  EXPECT_EQ(begun, Threads::kMost + 2);
  EXPECT_EQ(std::count(ended.begin(), ended.end(), Threads::kMost + 1), 0);
}

TEST(RunInThread, TheLoopOutlivesWhatRuns) {
  std::atomic<bool> ended = false;
  bool answered = false;
  std::promise<void> begun;
  {
    Loop loop;
    auto job = loop.run_in_thread(
        [&] {
          begun.set_value();
          std::this_thread::sleep_for(20ms);
          ended = true;
        },
        [&] { answered = true; });
    begun.get_future().wait();
    job.reset();
  }
  EXPECT_TRUE(ended);
  EXPECT_FALSE(answered);
}

TEST(FdWatcher, ReportsAndReleases) {
  Loop loop;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK), 0);
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  int readable = 0;
  std::unique_ptr<FdWatcher> second;
  FdWatcher first(loop, reader.get(), [&](FdWatcher::Ready) {
    ++readable;
    first.release();
    second = std::make_unique<FdWatcher>(loop, reader.get(), [&](FdWatcher::Ready) {
      readable += 10;
      second->want(false, false);
    });
    second->want(true, false);
  });
  first.want(true, false);
  ASSERT_EQ(::write(writer.get(), "x", 1), 1);
  EXPECT_TRUE(run_until(loop, [&] { return readable == 11; }));
}

TEST(FdWatcher, SaysWhatItCannotWatch) {
  Loop loop;
  const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  FdWatcher watcher(loop, file.get(), [](FdWatcher::Ready) { FAIL(); });
  ASSERT_FALSE(watcher.usable());
  EXPECT_NE(watcher.usable().error().message.find("not permitted"), std::string::npos);
  watcher.want(true, true);
  watcher.want(false, false);
  watcher.release();
}

TEST(Signal, IsDelivered) {
  Loop loop;
  bool came = false;
  Signal signal(loop, SIGUSR1, [&] { came = true; });
  ::raise(SIGUSR1);
  EXPECT_TRUE(run_until(loop, [&] { return came; }));
}

TEST(Resolver, AnswersAddressesAndNames) {
  Loop loop;
  std::vector<Endpoint> found;
  const auto literal = resolve(loop, *Target::parse("192.0.2.7:80"),
                               [&](auto result) { found = std::move(*result); });
  EXPECT_TRUE(found.empty());
  EXPECT_TRUE(run_until(loop, [&] { return !found.empty(); }));
  EXPECT_EQ(found[0].to_string(), "192.0.2.7:80");
  found.clear();
  const auto name = resolve(loop, *Target::parse("localhost:81"),
                            [&](auto result) { found = std::move(*result); });
  EXPECT_TRUE(run_until(loop, [&] { return !found.empty(); }));
  EXPECT_TRUE(found[0].address.is_loopback());
  EXPECT_EQ(found[0].port, 81);
}

TEST(Resolver, AsksWhomItIsTold) {
  Loop loop;
  loop.look_up_by([](const std::string& name) -> Result<std::vector<IpAddress>> {
    if (name == "server.test") return std::vector<IpAddress>{*IpAddress::parse("192.0.2.9")};
    if (name == "empty.test") return std::vector<IpAddress>{};
    return Error{ErrorCode::host_unreachable, "the app knows no " + name};
  });
  std::vector<std::string> answers;
  const auto keep = [&](Result<std::vector<Endpoint>> found) {
    answers.push_back(found ? found->front().to_string() : found.error().message);
  };
  const auto found = resolve(loop, *Target::parse("server.test:22"), keep);
  EXPECT_TRUE(run_until(loop, [&] { return answers.size() == 1; }));
  const auto unknown = resolve(loop, *Target::parse("other.test:22"), keep);
  EXPECT_TRUE(run_until(loop, [&] { return answers.size() == 2; }));
  const auto empty = resolve(loop, *Target::parse("empty.test:22"), keep);
  EXPECT_TRUE(run_until(loop, [&] { return answers.size() == 3; }));
  EXPECT_EQ(answers[0], "192.0.2.9:22");
  EXPECT_EQ(answers[1], "the app knows no other.test");
  EXPECT_NE(answers[2].find("cannot resolve empty.test"), std::string::npos);
}

TEST(Resolver, SaysWhichNameDoesNotResolve) {
  Loop loop;
  std::string message;
  const auto attempt = resolve(loop, *Target::parse("no-such-name.invalid:80"), [&](auto result) {
    EXPECT_EQ(result.error().code, ErrorCode::host_unreachable);
    message = result.error().message;
  });
  EXPECT_TRUE(run_until(
      loop, [&] { return !message.empty(); }, 30s));
  EXPECT_NE(message.find("no-such-name.invalid"), std::string::npos);
}

TEST(Resolver, MayBeCancelled) {
  Loop loop;
  auto attempt = resolve(loop, *Target::parse("localhost:80"), [](auto) { FAIL(); });
  attempt.reset();
  loop.run_once(false);
}

}  // namespace
}  // namespace tunproxy::io
