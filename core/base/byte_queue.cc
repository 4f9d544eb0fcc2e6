#include "core/base/byte_queue.h"

#include <algorithm>
#include <cassert>

namespace tunproxy {
namespace {

constexpr size_t kSmallestStorage = 4096;

}  // namespace

void ByteQueue::consume(size_t n) {
  assert(n <= size());
  head_ += n;
  if (empty()) clear();
}

size_t ByteQueue::append(Bytes bytes) {
  const Bytes taken = bytes.first(std::min(bytes.size(), room()));
  append_all(taken);
  return taken.size();
}

void ByteQueue::append_all(Bytes bytes) {
  if (bytes.empty()) return;
  std::memcpy(prepare(bytes.size()).data(), bytes.data(), bytes.size());
  commit(bytes.size());
}

MutableBytes ByteQueue::prepare(size_t n) {
  reserve(n);
  return {storage_.get() + tail_, capacity_ - tail_};
}

void ByteQueue::commit(size_t n) {
  assert(tail_ + n <= capacity_);
  tail_ += n;
}

void ByteQueue::clear() {
  storage_.reset();
  set_capacity(0);
  head_ = tail_ = 0;
}

void ByteQueue::set_capacity(size_t capacity) {
  if (budget_ != nullptr) {
    budget_->charge(capacity);
    budget_->release(capacity_);
  }
  capacity_ = capacity;
}

void ByteQueue::reserve(size_t n) {
  if (capacity_ - tail_ >= n) return;
  const size_t queued = size();
  // Moving to the front is worth it only if it frees as much as it moves: each byte moves O(1)
  // times.
  if (head_ >= queued && capacity_ - queued >= n) {
    if (queued > 0) std::memmove(storage_.get(), storage_.get() + head_, queued);
  } else {
    const size_t grown = std::max({kSmallestStorage, capacity_ * 2, queued + n});
    std::unique_ptr<uint8_t[]> storage(new uint8_t[grown]);
    if (queued > 0) std::memcpy(storage.get(), storage_.get() + head_, queued);
    storage_ = std::move(storage);
    set_capacity(grown);
  }
  head_ = 0;
  tail_ = queued;
}

}  // namespace tunproxy
