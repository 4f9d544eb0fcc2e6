// Request: what somebody asked of a server's session, from then to its outcome, whichever session
// it is that serves it.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/proxy.h"
#include "core/ssh/session.h"

namespace tunproxy::ssh {

/// Owned by whoever asked; destroying it cancels. It waits in a list while there is no session, for
/// a bounded time. One that is repeatable begins anew on another session when its own was lost, or
/// may be, before the outcome came.
class Request : public net::Attempt {
 public:
  using List = std::list<Request*>;

  Request(io::Loop& loop, bool repeatable);
  ~Request() override { leave(); }

  /// Joins the `waiting`; it fails with `why` if it is still there `bound` after it waited first.
  void wait(List& waiting, Duration bound, Error why);
  /// Waits in another list now, as long as it still may.
  void move_to(List& waiting) { join(waiting); }
  /// Joins the `served` and begins.
  void serve(List& served, Session& session);
  /// Ends with this, soon.
  void fail(Error why);

  /// Is in no list from now on; what serves it, goes on.
  void leave();

  bool repeatable() const { return repeatable_; }
  const Session* session() const { return session_; }  ///< that serves it; nullptr: none

 protected:
  virtual void begin(Session& session) = 0;
  virtual void forget() = 0;  ///< what was begun
  virtual void end(const Error& why) = 0;
  /// The session is lost and this may be repeated: the loss will be told, and another found.
  bool will_repeat() const { return repeatable_ && session_ != nullptr && session_->error(); }

 private:
  void join(List& list);

  const bool repeatable_;
  List* list_ = nullptr;
  List::iterator place_;
  Session* session_ = nullptr;
  Error why_;
  io::Loop& loop_;
  std::optional<Instant> waits_until_;
  io::Timer deadline_;
};

/// `Start` begins it on a session.
template <typename T>
class RequestFor final : public Request {
 public:
  using Start = std::function<std::unique_ptr<net::Attempt>(Session&, net::Done<T>)>;

  RequestFor(io::Loop& loop, bool repeatable, Start start, net::Done<T> done)
      : Request(loop, repeatable), start_(std::move(start)), done_(std::move(done)) {}

 private:
  void begin(Session& session) override {
    inner_ = start_(session, [this](Result<T> outcome) {
      if (!outcome && will_repeat()) return;
      leave();
      std::exchange(done_, nullptr)(std::move(outcome));  // may destroy this
    });
    if (!inner_) fail({ErrorCode::command_not_supported, "the SSH server has no such command"});
  }
  void forget() override { inner_.reset(); }
  void end(const Error& why) override { std::exchange(done_, nullptr)(why); }

  const Start start_;
  net::Done<T> done_;
  std::unique_ptr<net::Attempt> inner_;
};

}  // namespace tunproxy::ssh
