#include "core/udp/udpgw_client_queue.h"

#include <algorithm>
#include <cassert>

namespace tunproxy::udp {
namespace {

constexpr size_t kFlagsAt = 2;                // in a frame
constexpr size_t kKeepCapacity = 256 * 1024;  // more than this goes back when it is empty

}  // namespace

void UdpgwQueue::push(const UdpgwFrame& frame, uint64_t binding, Instant now) {
  assert(binding > 0 && frame.connection < kConnections);
  append_frame(frame, binding, now);
  while ((frames_.size() > limits_.datagrams || bytes() > limits_.bytes) && drop_oldest()) {
  }
}

void UdpgwQueue::push_keepalive(Instant now) {
  append_frame({UdpgwFrame::kKeepalive, 0, {}, {}}, 0, now);
}

void UdpgwQueue::append_frame(const UdpgwFrame& frame, uint64_t binding, Instant now) {
  const size_t before = bytes_.size();
  encode(frame, bytes_);
  frames_.push_back({bytes_.size() - before, now, binding, frame.connection});
}

// The first frame that is not partly out; what is left of that one moves behind the gap.
bool UdpgwQueue::drop_oldest() {
  const size_t index = written_ == 0 ? 0 : 1;
  if (frames_.size() <= index) return false;
  const size_t size = frames_[index].size;
  if (index == 1) {
    const auto rest = bytes_.begin() + static_cast<ptrdiff_t>(head_);
    const auto end = rest + static_cast<ptrdiff_t>(frames_[0].size - written_);
    std::move_backward(rest, end, end + static_cast<ptrdiff_t>(size));
  }
  head_ += size;
  frames_.erase(frames_.begin() + static_cast<ptrdiff_t>(index));
  ++dropped_;
  forget_written();
  return true;
}

Bytes UdpgwQueue::front(Instant now) {
  for (size_t oldest = written_ == 0 ? 0 : 1;
       frames_.size() > oldest && now - frames_[oldest].queued > limits_.age;) {
    drop_oldest();
  }
  set_rebind();
  return Bytes(bytes_).subspan(head_);
}

// As if all of it went out now; what does not is looked at again the next time.
void UdpgwQueue::set_rebind() {
  std::array<uint64_t, kConnections> bound = at_peer_;
  size_t at = written_ == 0 ? head_ : head_ + frames_[0].size - written_;
  for (size_t i = written_ == 0 ? 0 : 1; i < frames_.size(); ++i) {
    const Frame& frame = frames_[i];
    if (frame.binding != 0) {
      uint8_t& flags = bytes_[at + kFlagsAt];
      flags = static_cast<uint8_t>(flags & ~UdpgwFrame::kRebind);
      if (bound[frame.connection] != frame.binding) flags |= UdpgwFrame::kRebind;
      bound[frame.connection] = frame.binding;
    }
    at += frame.size;
  }
}

void UdpgwQueue::consume(size_t n) {
  head_ += n;
  assert(head_ <= bytes_.size());
  while (n > 0) {
    Frame& first = frames_.front();
    if (written_ == 0 && first.binding != 0) at_peer_[first.connection] = first.binding;
    const size_t taken = std::min(n, first.size - written_);
    n -= taken;
    written_ += taken;
    if (written_ < first.size) break;
    frames_.pop_front();
    written_ = 0;
  }
  forget_written();
}

void UdpgwQueue::forget_written() {
  if (frames_.empty()) {
    head_ = 0;
    bytes_.clear();
    if (bytes_.capacity() > kKeepCapacity) bytes_.shrink_to_fit();
  } else if (head_ > bytes_.size() / 2 && head_ > kKeepCapacity) {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(head_));
    head_ = 0;
  }
}

}  // namespace tunproxy::udp
