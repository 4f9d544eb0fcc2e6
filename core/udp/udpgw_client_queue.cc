#include "core/udp/udpgw_client_queue.h"

#include <cassert>
#include <limits>

namespace tunproxy::udp {
namespace {

constexpr size_t kFlagsAt = 2;  // in a frame
constexpr size_t kConnectionAt = 3;

size_t connection_of(Bytes frame) {
  return static_cast<size_t>(frame[kConnectionAt] | frame[kConnectionAt + 1] << 8);
}

}  // namespace

void UdpgwQueue::push(const UdpgwFrame& frame, uint64_t binding, Instant now) {
  assert(binding > 0 && frame.connection < kConnections);
  const auto append_frame = [&](ByteVector& to) { return encode(frame, to), true; };
  frames_.push(append_frame, now, binding);
}

void UdpgwQueue::push_keepalive(Instant now) {
  const auto append_frame = [](ByteVector& to) {
    return encode(UdpgwFrame{UdpgwFrame::kKeepalive, 0, {}, {}}, to), true;
  };
  frames_.push(append_frame, now);
}

Bytes UdpgwQueue::front(Instant now) {
  frames_.drop_stale(now);
  set_rebind();
  return frames_.front();
}

// As if all of it went out now; what does not is looked at again the next time.
void UdpgwQueue::set_rebind() {
  std::array<uint64_t, kConnections> bound = at_peer_;
  const size_t all = std::numeric_limits<size_t>::max();
  frames_.each_within(all, [&](MutableBytes frame, uint64_t binding) {
    if (binding == 0) return;
    uint64_t& now_bound = bound[connection_of(frame)];
    frame[kFlagsAt] = static_cast<uint8_t>(frame[kFlagsAt] & ~UdpgwFrame::kRebind);
    if (now_bound != binding) frame[kFlagsAt] |= UdpgwFrame::kRebind;
    now_bound = binding;
  });
}

void UdpgwQueue::consume(size_t n) {
  frames_.each_within(n, [this](MutableBytes frame, uint64_t binding) {
    if (binding != 0) at_peer_[connection_of(frame)] = binding;
  });
  frames_.consume(n);
}

}  // namespace tunproxy::udp
