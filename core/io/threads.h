// Threads: runs jobs that may block for long, each in a thread of its own.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "core/net/proxy.h"

namespace tunproxy::io {

class Loop;

/// Of one Loop, and used in its thread. What blocks here holds up no other loop, as it would in
/// libuv's pool, which is the process's and has four threads.
class Threads {
 public:
  static constexpr size_t kMost = 32;  ///< at a time; further jobs wait for their turn

  explicit Threads(Loop& loop) : loop_(loop) {}
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  /// Waits for the jobs that run.
  ~Threads();

  /// See Loop::run_in_thread().
  std::unique_ptr<net::Attempt> run(std::function<void()> job, std::function<void()> done);

 private:
  struct Job;
  class JobAttempt;

  void cancel(const std::shared_ptr<Job>& job);
  void start_waiting();
  void start(Job& job);
  void end(Job& job);

  Loop& loop_;
  std::deque<std::shared_ptr<Job>> waiting_;
  std::vector<std::shared_ptr<Job>> running_;
};

}  // namespace tunproxy::io
