// A bounded first-in first-out queue of bytes whose front is one contiguous span.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/base/bytes.h"
#include "core/base/memory_budget.h"

namespace tunproxy {

/// Owned by one stream or codec; not thread-safe. Storage is taken when the first byte comes and
/// given back when the last one goes, so that an idle connection holds none.
class ByteQueue {
 public:
  /// `limit` bounds size(); appends take no more than that. `budget` is charged for the storage;
  /// may be null, outlives the queue.
  explicit ByteQueue(size_t limit, MemoryBudget* budget = nullptr)
      : limit_(limit), budget_(budget) {}
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;
  ~ByteQueue() { clear(); }

  size_t size() const { return tail_ - head_; }
  bool empty() const { return head_ == tail_; }
  size_t limit() const { return limit_; }
  size_t room() const { return size() < limit_ ? limit_ - size() : 0; }

  /// All that is queued. Valid until the next call that is not const.
  Bytes front() const { return {storage_.get() + head_, size()}; }
  void consume(size_t n);  ///< REQUIRES: n <= size()

  /// Takes what fits below the limit; returns how much that was.
  size_t append(Bytes bytes);
  /// Takes all of it whatever the limit, for callers with a bound of their own.
  void append_all(Bytes bytes);

  /// At least `n` writable bytes behind the queued ones (more if they are there), whatever the
  /// limit; commit() says how many were used. Valid until the next call that is not const.
  MutableBytes prepare(size_t n);
  void commit(size_t n);

  void clear();

 private:
  void reserve(size_t n);
  void set_capacity(size_t capacity);

  std::unique_ptr<uint8_t[]> storage_;
  size_t capacity_ = 0;
  size_t head_ = 0;
  size_t tail_ = 0;
  size_t limit_;
  MemoryBudget* budget_;
};

}  // namespace tunproxy
