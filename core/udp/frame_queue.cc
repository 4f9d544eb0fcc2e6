#include "core/udp/frame_queue.h"

#include <cassert>

namespace tunproxy::udp {
namespace {

constexpr size_t kKeepCapacity = 256 * 1024;  // more than this goes back when it is empty

}  // namespace

void clear_queued(ByteVector& bytes, size_t& head) {
  head = 0;
  bytes.clear();
  if (bytes.capacity() > kKeepCapacity) bytes.shrink_to_fit();
}

void FrameQueue::pushed(size_t size, Instant now, uint64_t tag) {
  frames_.push_back({size, now, tag});
  while ((frames_.size() > limits_.datagrams || bytes() > limits_.bytes) && drop_oldest()) {
    ++dropped_.too_many;
  }
}

// The first frame that is not partly out; what is left of that one moves behind the gap.
bool FrameQueue::drop_oldest() {
  const size_t index = written_ == 0 ? 0 : 1;
  if (frames_.size() <= index) return false;
  const size_t size = frames_[index].size;
  if (index == 1) {
    const auto rest = bytes_.begin() + static_cast<ptrdiff_t>(head_);
    const auto end = rest + static_cast<ptrdiff_t>(first_left());
    std::move_backward(rest, end, end + static_cast<ptrdiff_t>(size));
  }
  head_ += size;
  frames_.erase(frames_.begin() + static_cast<ptrdiff_t>(index));
  forget_written();
  return true;
}

void FrameQueue::drop_stale(Instant now) {
  const size_t oldest = written_ == 0 ? 0 : 1;
  while (frames_.size() > oldest && now - frames_[oldest].queued > limits_.age) {
    drop_oldest();
    ++dropped_.too_old;
  }
}

void FrameQueue::consume(size_t n) {
  head_ += n;
  assert(head_ <= bytes_.size());
  written_ += n;
  while (!frames_.empty() && written_ >= frames_[0].size) {
    written_ -= frames_[0].size;
    frames_.pop_front();
  }
  forget_written();
}

void FrameQueue::forget_written() {
  if (frames_.empty()) {
    clear_queued(bytes_, head_);
  } else if (head_ > bytes_.size() / 2 && head_ > kKeepCapacity) {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(head_));
    head_ = 0;
  }
}

}  // namespace tunproxy::udp
