#include "core/io/threads.h"

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>

#include "core/base/log.h"
#include "core/io/loop.h"

namespace tunproxy::io {

struct Threads::Job {
  std::function<void()> work;
  std::function<void()> done;  // empty: cancelled
  std::thread thread;
  std::unique_ptr<net::Attempt> in_pool;  // in place of the thread
};

class Threads::JobAttempt final : public net::Attempt {
 public:
  JobAttempt(Threads& threads, std::weak_ptr<Job> job) : threads_(threads), job_(std::move(job)) {}
  JobAttempt(const JobAttempt&) = delete;
  JobAttempt& operator=(const JobAttempt&) = delete;
  ~JobAttempt() override {
    if (const auto job = job_.lock()) threads_.cancel(job);
  }

 private:
  Threads& threads_;
  std::weak_ptr<Job> job_;
};

Threads::~Threads() {
  for (const auto& job : running_) {
    if (job->thread.joinable()) job->thread.join();
  }
}

std::unique_ptr<net::Attempt> Threads::run(std::function<void()> job, std::function<void()> done) {
  // It logs where this thread does.
  auto logged = [job = std::move(job), sink = log::sink()] {
    const log::UseSink use(sink);
    job();
  };
  waiting_.push_back(std::make_shared<Job>(Job{std::move(logged), std::move(done), {}, {}}));
  auto attempt = std::make_unique<JobAttempt>(*this, waiting_.back());
  start_waiting();
  return attempt;
}

void Threads::cancel(const std::shared_ptr<Job>& job) {
  job->done = nullptr;
  std::erase(waiting_, job);
}

void Threads::start_waiting() {
  while (!waiting_.empty() && running_.size() < kMost) {
    const std::shared_ptr<Job> job = std::move(waiting_.front());
    waiting_.pop_front();
    running_.push_back(job);
    start(*job);
  }
}

void Threads::start(Job& job) {
  try {
    job.thread = std::thread([this, &job] {
      job.work();
      loop_.post([this, &job] { end(job); });
    });
  } catch (const std::system_error& error) {
    log::warn("no thread for a job ({}): it shares the pool's", error.what());
    job.in_pool = loop_.work(job.work, [this, &job] { end(job); });
  }
}

void Threads::end(Job& job) {
  if (job.thread.joinable()) job.thread.join();
  const auto found = std::find_if(running_.begin(), running_.end(),
                                  [&](const auto& one) { return one.get() == &job; });
  const std::shared_ptr<Job> ended = std::move(*found);
  running_.erase(found);
  start_waiting();
  if (const auto done = std::exchange(ended->done, nullptr)) done();
}

}  // namespace tunproxy::io
