#include "core/ssh/channel_queue.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <utility>

namespace tunproxy::ssh {
namespace {

constexpr size_t kWorthTaking = 2048;
constexpr size_t kGathered = 4096;
constexpr size_t kUsedUpAtMost = 64;

Buffer allocate(size_t size) {
  Buffer buffer(static_cast<uint8_t*>(std::malloc(size)));
  if (!buffer) throw std::bad_alloc();
  return buffer;
}

}  // namespace

void ChannelQueue::append(Bytes bytes, Buffer& buffer) {
  if (bytes.empty()) return;
  size_ += bytes.size();
  if (bytes.size() >= kWorthTaking) {
    const auto begin = static_cast<uint32_t>(bytes.data() - buffer.get());
    const uint32_t end = begin + static_cast<uint32_t>(bytes.size());
    return add({std::move(buffer), begin, end, 0, end});
  }
  if (chunks_.size() == head_ || chunks_.back().spare < bytes.size()) {
    add({allocate(kGathered), 0, 0, kGathered, kGathered});
  }
  Chunk& last = chunks_.back();
  std::memcpy(last.buffer.get() + last.end, bytes.data(), bytes.size());
  last.end += static_cast<uint32_t>(bytes.size());
  last.spare -= static_cast<uint32_t>(bytes.size());
}

void ChannelQueue::add(Chunk chunk) {
  charge_.set(charge_.bytes() + chunk.cost);
  chunks_.push_back(std::move(chunk));
}

Bytes ChannelQueue::front() const {
  if (empty()) return {};
  const Chunk& chunk = chunks_[head_];
  return {chunk.buffer.get() + chunk.begin, chunk.end - chunk.begin};
}

void ChannelQueue::consume(size_t n) {
  if (n == 0) return;
  assert(n <= front().size());
  Chunk& chunk = chunks_[head_];
  chunk.begin += static_cast<uint32_t>(n);
  size_ -= n;
  if (chunk.begin < chunk.end) return;
  chunk.buffer.reset();
  charge_.set(charge_.bytes() - chunk.cost);
  ++head_;
  if (empty()) {
    clear();
  } else if (head_ >= kUsedUpAtMost && head_ * 2 >= chunks_.size()) {
    chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<ptrdiff_t>(head_));
    head_ = 0;
  }
}

void ChannelQueue::clear() {
  chunks_ = std::vector<Chunk>();
  head_ = size_ = 0;
  charge_.set(0);
}

}  // namespace tunproxy::ssh
