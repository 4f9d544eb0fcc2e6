// FrameQueue: frames with datagrams in them that a stream has not taken yet, in one piece of
// memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

#include "core/base/bytes.h"
#include "core/base/time.h"

namespace tunproxy::udp {

struct QueueLimits {
  size_t datagrams = 64;
  size_t bytes = 4 * 1024 * 1024;  ///< of datagrams, with their headers
  Duration age = 100ms;
};

/// Frames that were dropped.
struct QueueDrops {
  uint64_t too_old = 0;
  uint64_t too_many = 0;  ///< or too many bytes

  uint64_t sum() const { return too_old + too_many; }
};

/// Real time comes before completeness: frames that are too many or too old are dropped, the oldest
/// first, and counted; one of which a part is out is completed. RelayQueue and UdpgwQueue say in
/// their formats what is in it.
class FrameQueue {
 public:
  explicit FrameQueue(QueueLimits limits) : limits_(limits) {}

  /// `encode(ByteVector& to)` appends one frame and returns true, or appends nothing and returns
  /// false, as this does then. `tag` goes with the frame. May make the oldest ones go.
  template <typename Encode>
  bool push(Encode encode, Instant now, uint64_t tag = 0) {
    const size_t before = bytes_.size();
    if (!encode(bytes_)) return false;
    pushed(bytes_.size() - before, now, tag);
    return true;
  }

  void drop_stale(Instant now);
  /// All of it, in one piece. Valid until the next call that is not const.
  Bytes front() const { return Bytes(bytes_).subspan(head_); }
  /// What is left of a frame of which a part is out; empty if there is none.
  Bytes rest_of_first() const { return written_ == 0 ? Bytes() : front().first(first_left()); }
  void consume(size_t n);  ///< REQUIRES: n <= front().size()

  /// visit(MutableBytes frame, uint64_t tag) for each frame of which nothing is out and which
  /// begins within the next `n` bytes.
  template <typename Visit>
  void each_within(size_t n, Visit visit) {
    size_t at = written_ == 0 ? 0 : first_left();
    for (size_t i = written_ == 0 ? 0 : 1; i < frames_.size() && at < n; ++i) {
      visit(MutableBytes(bytes_).subspan(head_ + at, frames_[i].size), frames_[i].tag);
      at += frames_[i].size;
    }
  }

  bool empty() const { return frames_.empty(); }
  /// Another frame would push one out.
  bool full() const { return frames_.size() >= limits_.datagrams || bytes() >= limits_.bytes; }
  size_t frames() const { return frames_.size(); }
  size_t bytes() const { return bytes_.size() - head_; }
  const QueueDrops& dropped() const { return dropped_; }

 private:
  struct Frame {
    size_t size = 0;
    Instant queued;
    uint64_t tag = 0;
  };

  size_t first_left() const { return frames_[0].size - written_; }
  void pushed(size_t size, Instant now, uint64_t tag);
  bool drop_oldest();
  void forget_written();

  const QueueLimits limits_;
  ByteVector bytes_;
  size_t head_ = 0;
  std::deque<Frame> frames_;  // what bytes_ holds from head_ on
  size_t written_ = 0;        // of the first frame
  QueueDrops dropped_;
};

/// Empties it; memory beyond what is usual goes back.
void clear_queued(ByteVector& bytes, size_t& head);

}  // namespace tunproxy::udp
