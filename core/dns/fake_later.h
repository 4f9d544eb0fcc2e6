// Later: the attempt whose outcome is known at once, and told from the loop all the same.
#pragma once

#include <utility>

#include "core/io/loop.h"
#include "core/net/proxy.h"

namespace tunproxy::dns {

template <typename T>
class Later final : public net::Attempt {
 public:
  Later(io::Loop& loop, net::Done<T> done, Result<T> outcome)
      : done_(std::move(done)), outcome_(std::move(outcome)), task_(loop, [this] { tell(); }) {
    task_.schedule();
  }

 private:
  // It may be destroyed from within.
  void tell() {
    const net::Done<T> done = std::move(done_);
    Result<T> outcome = std::move(outcome_);
    done(std::move(outcome));
  }

  net::Done<T> done_;
  Result<T> outcome_;
  io::Task task_;
};

}  // namespace tunproxy::dns
