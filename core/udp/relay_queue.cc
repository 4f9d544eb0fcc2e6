#include "core/udp/relay_queue.h"

#include <algorithm>
#include <cassert>

namespace tunproxy::udp {
namespace {

constexpr size_t kKeepCapacity = 256 * 1024;  // more than this goes back when it is empty

void clear(ByteVector& bytes, size_t& head) {
  head = 0;
  bytes.clear();
  if (bytes.capacity() > kKeepCapacity) bytes.shrink_to_fit();
}

}  // namespace

bool RelayQueue::push(const RelayMessage& message) {
  return control_size() < kMaxControl && encode(message, control_).has_value();
}

void RelayQueue::push_magic(const Hello::Nonce& nonce) {
  append(control_, relay_magic(nonce));
}

bool RelayQueue::push_datagram(uint32_t connection, const Target& address, Bytes payload,
                               Instant now) {
  const size_t before = bytes_.size();
  if (!encode({connection, UdpPacket{address, payload}}, bytes_)) return false;
  frames_.push_back({bytes_.size() - before, now});
  while ((frames_.size() > limits_.datagrams || bytes() > limits_.bytes) && drop_oldest()) {
  }
  return true;
}

bool RelayQueue::full() const {
  return frames_.size() >= limits_.datagrams || bytes() >= limits_.bytes;
}

// The first frame that is not partly out.
bool RelayQueue::drop_oldest() {
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

Bytes RelayQueue::front(Instant now) {
  for (size_t oldest = written_ == 0 ? 0 : 1;
       frames_.size() > oldest && now - frames_[oldest].queued > limits_.age;) {
    drop_oldest();
  }
  const Bytes datagrams = Bytes(bytes_).subspan(head_);
  if (control_size() == 0) return datagrams;
  if (written_ > 0) return datagrams.first(frames_[0].size - written_);
  return Bytes(control_).subspan(control_head_);
}

void RelayQueue::consume(size_t n) {
  if (control_size() > 0 && written_ == 0) {
    control_head_ += n;
    assert(control_head_ <= control_.size());
    if (control_size() == 0) clear(control_, control_head_);
    return;
  }
  head_ += n;
  assert(head_ <= bytes_.size());
  written_ += n;
  while (!frames_.empty() && written_ >= frames_[0].size) {
    written_ -= frames_[0].size;
    frames_.pop_front();
  }
  forget_written();
}

void RelayQueue::forget_written() {
  if (frames_.empty()) {
    clear(bytes_, head_);
  } else if (head_ > bytes_.size() / 2 && head_ > kKeepCapacity) {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(head_));
    head_ = 0;
  }
}

}  // namespace tunproxy::udp
