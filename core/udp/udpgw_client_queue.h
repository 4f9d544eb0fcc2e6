// UdpgwQueue: what we have to say to a udpgw and the stream has not taken yet.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/bytes.h"
#include "core/base/time.h"
#include "core/udp/frame_queue.h"
#include "core/udp/udpgw_wire.h"

namespace tunproxy::udp {

/// A FrameQueue that sets REBIND on the way out, because the first frame that was queued for a
/// connection need not be the first that leaves.
class UdpgwQueue {
 public:
  static constexpr size_t kConnections = 256;

  explicit UdpgwQueue(QueueLimits limits) : frames_(limits) {}

  /// `binding` numbers what the connection stands for: the first frame of each that leaves says
  /// REBIND. REQUIRES: binding > 0, frame.connection < kConnections, data <= kUdpgwMaxData
  void push(const UdpgwFrame& frame, uint64_t binding, Instant now);
  void push_keepalive(Instant now);

  /// The next bytes for the stream, many frames in one piece; empty if there are none. Valid until
  /// the next call that is not const.
  Bytes front(Instant now);
  void consume(size_t n);  ///< REQUIRES: n <= front().size()

  bool empty() const { return frames_.empty(); }
  /// Another datagram would push one out.
  bool full() const { return frames_.full(); }
  size_t bytes() const { return frames_.bytes(); }
  const QueueDrops& dropped() const { return frames_.dropped(); }

 private:
  void set_rebind();

  FrameQueue frames_;                             // tagged with bindings; 0: a keepalive
  std::array<uint64_t, kConnections> at_peer_{};  // the bindings that the udpgw has, 0: none
};

}  // namespace tunproxy::udp
