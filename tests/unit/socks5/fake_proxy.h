// A Proxy whose outcomes the test decides.
#pragma once

#include <deque>
#include <memory>
#include <utility>

#include "core/net/proxy.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::testing {

class FakeProxy final : public net::Proxy {
 public:
  struct Call {
    Target target;
    net::Done<std::unique_ptr<net::Stream>> done;
    bool cancelled = false;
  };

  struct Waiting {
    net::Expected expected;
    net::OnBound on_bound;
    net::Done<net::Accepted> done;
    bool cancelled = false;
  };

  explicit FakeProxy(io::Loop& loop, Manners manners = {}) : loop_(loop), manners_(manners) {}

  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override {
    calls.push_back({target, std::move(done)});
    return std::make_unique<Pending<Call>>(calls.back());
  }

  /// Answers the call `index`; gives the target's end of the stream.
  std::unique_ptr<MemoryStream> succeed(size_t index) {
    auto [near, far] = MemoryStream::make_pair(loop_, manners_);
    std::exchange(calls[index].done, nullptr)(std::unique_ptr<net::Stream>(std::move(near)));
    return std::move(far);
  }
  void fail(size_t index, ErrorCode code) {
    std::exchange(calls[index].done, nullptr)(Error{code, "as the test wants it"});
  }

  std::unique_ptr<net::Attempt> bind(const net::Expected& expected, net::OnBound on_bound,
                                     net::Done<net::Accepted> done) override {
    if (!binds) return nullptr;
    waiting.push_back({expected, std::move(on_bound), std::move(done)});
    return std::make_unique<Pending<Waiting>>(waiting.back());
  }
  void listen(size_t index, const Endpoint& at) {
    std::exchange(waiting[index].on_bound, nullptr)(at);
  }
  /// Somebody came to the bind `index`; gives the peer's end of the stream.
  std::unique_ptr<MemoryStream> accept(size_t index, const Endpoint& peer) {
    auto [near, far] = MemoryStream::make_pair(loop_, manners_);
    std::exchange(waiting[index].done, nullptr)(net::Accepted{std::move(near), peer});
    return std::move(far);
  }
  void fail_bind(size_t index, ErrorCode code) {
    std::exchange(waiting[index].done, nullptr)(Error{code, "as the test wants it"});
  }

  std::deque<Call> calls;  // addresses stay
  std::deque<Waiting> waiting;
  bool binds = false;  ///< bind() is served

 private:
  template <typename Asked>
  class Pending final : public net::Attempt {
   public:
    explicit Pending(Asked& call) : call_(call) {}
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    ~Pending() override { call_.cancelled = call_.done != nullptr; }

   private:
    Asked& call_;
  };

  io::Loop& loop_;
  const Manners manners_;
};

}  // namespace tunproxy::testing
