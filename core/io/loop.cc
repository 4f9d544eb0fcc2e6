#include "core/io/loop.h"

#include <uv.h>

#include <cassert>
#include <stdexcept>
#include <utility>

#include "core/base/log.h"
#include "core/io/threads.h"

namespace tunproxy::io {

// The loop's own handles. They do not keep it alive; run() ends with stop() alone.
struct Loop::Hooks {
  uv_prepare_t before_poll{};
  uv_check_t after_poll{};
  uv_idle_t no_wait{};  // active: the poll between them does not block
  uv_async_t wake{};
};

namespace {

void close_all(uv_loop_t* loop) {
  uv_walk(
      loop,
      [](uv_handle_t* handle, void*) {
        if (uv_is_closing(handle) == 0) uv_close(handle, nullptr);
      },
      nullptr);
  uv_run(loop, UV_RUN_DEFAULT);
}

}  // namespace

Loop::Loop()
    : uv_(std::make_unique<uv_loop_t>()),
      hooks_(std::make_unique<Hooks>()),
      scratch_(new uint8_t[kScratchSize]),
      threads_(std::make_unique<Threads>(*this)) {
  if (const int status = init_handles(); status != 0) {
    throw std::runtime_error(error_from_errno(-status, "making an event loop").message);
  }
}

int Loop::init_handles() {
  if (const int status = uv_loop_init(uv_.get()); status != 0) return status;
  hooks_->wake.data = this;
  const int status = uv_async_init(
      uv_.get(), &hooks_->wake, [](uv_async_t* h) { static_cast<Loop*>(h->data)->run_posted(); });
  if (status != 0) {
    uv_loop_close(uv_.get());
    return status;
  }
  uv_prepare_init(uv_.get(), &hooks_->before_poll);
  uv_check_init(uv_.get(), &hooks_->after_poll);
  uv_idle_init(uv_.get(), &hooks_->no_wait);
  hooks_->before_poll.data = hooks_->after_poll.data = this;
  uv_prepare_start(&hooks_->before_poll,
                   [](uv_prepare_t* h) { static_cast<Loop*>(h->data)->end_of_batch(); });
  uv_check_start(&hooks_->after_poll,
                 [](uv_check_t* h) { static_cast<Loop*>(h->data)->end_of_batch(); });
  return 0;
}

Loop::~Loop() {
  std::vector<std::function<void()>> never_run;  // which may post when they die
  {
    const std::lock_guard lock(posted_mutex_);
    never_run.swap(posted_);
  }
  while (!retired_.empty() || !tasks_.empty()) end_of_batch();
  threads_.reset();
  close_all(uv_.get());
  uv_loop_close(uv_.get());
}

void Loop::run() {
  uv_run(uv_.get(), UV_RUN_DEFAULT);
}

void Loop::run_once(bool wait) {
  uv_run(uv_.get(), wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

void Loop::stop() {
  post([this] { uv_stop(uv_.get()); });
}

Instant Loop::now() const {
  return Instant(Duration(uv_now(uv_.get())));
}

void Loop::post(std::function<void()> function) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(function));
  }
  uv_async_send(&hooks_->wake);
}

void Loop::run_posted() {
  std::vector<std::function<void()>> functions;
  {
    const std::lock_guard lock(posted_mutex_);
    functions.swap(posted_);
  }
  for (const auto& function : functions) function();
}

std::unique_ptr<net::Attempt> Loop::run_in_thread(std::function<void()> job,
                                                  std::function<void()> done) {
  return threads_->run(std::move(job), std::move(done));
}

void Loop::retire(std::shared_ptr<void> object) {
  if (!object) return;
  retired_.push_back(std::move(object));
  uv_idle_start(&hooks_->no_wait, [](uv_idle_t*) {});
}

void Loop::schedule(Task* task) {
  task->slot_ = tasks_.size();
  tasks_.push_back(task);
  uv_idle_start(&hooks_->no_wait, [](uv_idle_t*) {});
}

void Loop::unschedule(Task* task) {
  // It stands in the list that is being run or in the one for the next round.
  auto& list = task->slot_ < running_.size() && running_[task->slot_] == task ? running_ : tasks_;
  assert(list[task->slot_] == task);
  list[task->slot_] = nullptr;
  task->slot_ = Task::kIdle;
}

// Tasks that are scheduled while these run wait for the next round, so that input and output take
// turns.
void Loop::end_of_batch() {
  running_.swap(tasks_);
  for (size_t i = 0; i < running_.size(); ++i) {
    Task* task = std::exchange(running_[i], nullptr);
    if (task == nullptr) continue;
    task->slot_ = Task::kIdle;
    task->function_();
  }
  running_.clear();
  destroy_retired();
  if (tasks_.empty() && retired_.empty()) uv_idle_stop(&hooks_->no_wait);
}

// What dies may retire more, which waits for the next batch.
void Loop::destroy_retired() {
  std::vector<std::shared_ptr<void>> dying;
  dying.swap(retired_);
}

namespace {

// Outlives its Job attempt while the pool runs it.
struct WorkRequest {
  uv_work_t request{};
  std::function<void()> job;
  std::function<void()> done;  // empty: cancelled
  class WorkAttempt* attempt = nullptr;
};

class WorkAttempt final : public net::Attempt {
 public:
  explicit WorkAttempt(WorkRequest* request) : request_(request) { request->attempt = this; }
  WorkAttempt(const WorkAttempt&) = delete;
  WorkAttempt& operator=(const WorkAttempt&) = delete;
  ~WorkAttempt() override {
    if (request_ == nullptr) return;
    request_->attempt = nullptr;
    request_->done = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(&request_->request));
  }
  void detach() { request_ = nullptr; }

 private:
  WorkRequest* request_;
};

void after_work(uv_work_t* uv_request, int) {
  const std::unique_ptr<WorkRequest> request(static_cast<WorkRequest*>(uv_request->data));
  if (request->attempt != nullptr) request->attempt->detach();
  if (request->done) request->done();
}

}  // namespace

std::unique_ptr<net::Attempt> Loop::work(std::function<void()> job, std::function<void()> done) {
  // The pool is the process's: the job logs where this thread does.
  auto logged = [job = std::move(job), sink = log::sink()] {
    const log::UseSink use(sink);
    job();
  };
  auto* request = new WorkRequest{{}, std::move(logged), std::move(done)};
  request->request.data = request;
  auto attempt = std::make_unique<WorkAttempt>(request);
  uv_queue_work(
      uv_.get(), &request->request,
      [](uv_work_t* uv_request) { static_cast<WorkRequest*>(uv_request->data)->job(); },
      after_work);
  return attempt;
}

}  // namespace tunproxy::io
