#include "core/udp/relay_queue.h"

#include <cassert>

namespace tunproxy::udp {

bool RelayQueue::push(const RelayMessage& message) {
  return control_size() < kMaxControl && encode(message, control_).has_value();
}

void RelayQueue::push_magic(const Hello::Nonce& nonce) {
  append(control_, relay_magic(nonce));
}

bool RelayQueue::push_datagram(uint32_t connection, const Target& address, Bytes payload,
                               Instant now) {
  return datagrams_.push(
      [&](ByteVector& to) {
        return encode({connection, UdpPacket{address, payload}}, to).has_value();
      },
      now);
}

Bytes RelayQueue::front(Instant now) {
  datagrams_.drop_stale(now);
  if (control_size() == 0) return datagrams_.front();
  const Bytes begun = datagrams_.rest_of_first();
  return begun.empty() ? Bytes(control_).subspan(control_head_) : begun;
}

void RelayQueue::consume(size_t n) {
  if (control_size() == 0 || !datagrams_.rest_of_first().empty()) return datagrams_.consume(n);
  control_head_ += n;
  assert(control_head_ <= control_.size());
  if (control_size() == 0) clear_queued(control_, control_head_);
}

}  // namespace tunproxy::udp
