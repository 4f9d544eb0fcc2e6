// ChannelQueue: received bytes in the very buffers that they were decrypted in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/memory_budget.h"

namespace tunproxy::ssh {

struct FreeBuffer {
  void operator()(uint8_t* buffer) const { std::free(buffer); }
};
/// From malloc().
using Buffer = std::unique_ptr<uint8_t[], FreeBuffer>;

/// First in, first out; front() is a part of what is queued. Holds no memory while it is empty. The
/// channel's window bounds it; small pieces are gathered, so that memory stays near size().
class ChannelQueue {
 public:
  /// REQUIRES: `budget` outlives it.
  explicit ChannelQueue(MemoryBudget& budget) : charge_(budget) {}

  /// `bytes` lie in `buffer`, which is taken if that is worth it.
  void append(Bytes bytes, Buffer& buffer);
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  /// Valid until consume() or clear(), and across append().
  Bytes front() const;
  void consume(size_t n);  ///< REQUIRES: n <= front().size()
  void clear();

 private:
  struct Chunk {
    Buffer buffer;
    uint32_t begin;
    uint32_t end;
    uint32_t spare;  // bytes behind end that more may be gathered in
    uint32_t cost;   // of the buffer
  };

  void add(Chunk chunk);

  std::vector<Chunk> chunks_;
  size_t head_ = 0;  // chunks before it are used up
  size_t size_ = 0;
  MemoryCharge charge_;
};

}  // namespace tunproxy::ssh
