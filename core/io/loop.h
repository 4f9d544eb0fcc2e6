// Loop: the event loop that owns everything of one thread, and Task: "do this at the end of the
// batch".
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/base/memory_budget.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/net/proxy.h"

struct uv_loop_s;

namespace tunproxy::io {

class Task;
class Threads;

/// Created, run and destroyed in one thread; only post() and stop() may be called from others.
/// Everything that was made with it must be destroyed before it.
class Loop {
 public:
  /// Throws std::runtime_error where the system has no descriptors left for it.
  Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  /// What was posted and has not run never does.
  ~Loop();

  /// Runs until stop().
  void run();
  /// Runs what is due now and returns; waits for one event if `wait` and nothing is due. For tests.
  void run_once(bool wait = true);
  void stop();

  /// The time at which this iteration began.
  Instant now() const;

  /// From any thread: runs `function` in the loop's thread, soon, in order.
  void post(std::function<void()> function);
  /// Destroys `object` when no callback of it can be on the stack any more (at the end of the
  /// batch). Takes any unique_ptr: `loop.retire(std::move(relay_))`.
  void retire(std::shared_ptr<void> object);
  /// Destroys them now, for owners that end outside all callbacks. REQUIRES: no callback is
  /// running.
  void destroy_retired();
  /// Runs `job`, which is soon over, in the thread pool that all loops share, then `done` in the
  /// loop. Destroying the attempt cancels `done`, not a job that runs already: what `job` uses must
  /// be its own, or outlive the loop.
  std::unique_ptr<net::Attempt> work(std::function<void()> job, std::function<void()> done);
  /// The same for a job that may block: in a thread of its own, of at most Threads::kMost.
  std::unique_ptr<net::Attempt> run_in_thread(std::function<void()> job,
                                              std::function<void()> done);

  /// Looks a host's name up instead of the machine's resolver, for all look-ups from now on. Called
  /// in a thread of its own; may block.
  using Lookup = std::function<Result<std::vector<IpAddress>>(const std::string& name)>;
  void look_up_by(Lookup lookup) { lookup_ = std::move(lookup); }
  const Lookup& lookup() const { return lookup_; }

  /// A read buffer that all streams of the loop share. Valid only within one callback.
  MutableBytes scratch() { return {scratch_.get(), kScratchSize}; }
  static constexpr size_t kScratchSize = 256 * 1024;

  /// Of all that was made with this loop. Without a cap until somebody sets one.
  MemoryBudget& memory() { return memory_; }

  uv_loop_s* handle() { return uv_.get(); }  ///< for core/io only

 private:
  friend class Task;
  struct Hooks;

  int init_handles();
  void schedule(Task* task);
  void unschedule(Task* task);
  void end_of_batch();
  void run_posted();

  std::unique_ptr<uv_loop_s> uv_;
  std::unique_ptr<Hooks> hooks_;
  std::unique_ptr<uint8_t[]> scratch_;
  MemoryBudget memory_;
  std::vector<Task*> tasks_;
  std::vector<Task*> running_;
  std::vector<std::shared_ptr<void>> retired_;
  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;
  Lookup lookup_;
  std::unique_ptr<Threads> threads_;
};

/// A function that runs once at the end of the current batch of events, however often it is
/// scheduled: what makes callbacks come "from the loop" and work happen once a batch.
class Task {
 public:
  Task(Loop& loop, std::function<void()> function) : loop_(loop), function_(std::move(function)) {}
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() { cancel(); }

  void schedule() {
    if (slot_ == kIdle) loop_.schedule(this);
  }
  void cancel() {
    if (slot_ != kIdle) loop_.unschedule(this);
  }

 private:
  friend class Loop;
  static constexpr size_t kIdle = static_cast<size_t>(-1);

  Loop& loop_;
  std::function<void()> function_;
  size_t slot_ = kIdle;  // index in Loop::tasks_
};

}  // namespace tunproxy::io
