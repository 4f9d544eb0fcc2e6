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

  explicit FakeProxy(io::Loop& loop, Manners manners = {}) : loop_(loop), manners_(manners) {}

  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override {
    calls.push_back({target, std::move(done)});
    return std::make_unique<Pending>(calls.back());
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

  std::deque<Call> calls;  // addresses stay

 private:
  class Pending final : public net::Attempt {
   public:
    explicit Pending(Call& call) : call_(call) {}
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    ~Pending() override { call_.cancelled = call_.done != nullptr; }

   private:
    Call& call_;
  };

  io::Loop& loop_;
  const Manners manners_;
};

}  // namespace tunproxy::testing
