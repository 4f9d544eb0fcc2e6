// Delivery: an outcome on its way to the Done that waits for it. Later: one that is known at once.
#pragma once

#include <optional>
#include <utility>

#include "core/io/loop.h"
#include "core/net/proxy.h"

namespace tunproxy::io {

/// A member of most attempts: its `done` is called from the loop, once, and not after this was
/// destroyed, which `done` itself may do.
template <typename T>
class Delivery {
 public:
  Delivery(Loop& loop, net::Done<T> done)
      : done_(std::move(done)), task_(loop, [this] {
          auto outcome = std::move(*outcome_);
          std::exchange(done_, nullptr)(std::move(outcome));
        }) {}

  /// The first outcome counts.
  void settle(Result<T> outcome) {
    if (outcome_) return;
    outcome_ = std::move(outcome);
    task_.schedule();
  }
  bool settled() const { return outcome_.has_value(); }

 private:
  net::Done<T> done_;
  std::optional<Result<T>> outcome_;
  Task task_;
};

/// The attempt whose outcome is known at once, and told from the loop all the same.
template <typename T>
class Later final : public net::Attempt {
 public:
  Later(Loop& loop, net::Done<T> done, Result<T> outcome) : delivery_(loop, std::move(done)) {
    delivery_.settle(std::move(outcome));
  }

 private:
  Delivery<T> delivery_;
};

}  // namespace tunproxy::io
