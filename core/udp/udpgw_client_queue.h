// UdpgwQueue: what we have to say to a udpgw and the stream has not taken yet.
#pragma once

#include <array>
#include <cstdint>
#include <deque>

#include "core/base/bytes.h"
#include "core/base/time.h"
#include "core/udp/relay_queue.h"
#include "core/udp/udpgw_wire.h"

namespace tunproxy::udp {

/// As RelayQueue: datagrams that are too many or too old are dropped, the oldest first, and
/// counted; one of which a part is out is completed. REBIND is set here, on the way out, because
/// the first frame that was queued for a connection need not be the first that leaves.
class UdpgwQueue {
 public:
  static constexpr size_t kConnections = 256;

  explicit UdpgwQueue(RelayQueue::Limits limits) : limits_(limits) {}

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
  bool full() const { return frames_.size() >= limits_.datagrams || bytes() >= limits_.bytes; }
  size_t bytes() const { return bytes_.size() - head_; }
  uint64_t dropped() const { return dropped_; }

 private:
  struct Frame {
    size_t size = 0;
    Instant queued;
    uint64_t binding = 0;  // 0: a keepalive
    uint16_t connection = 0;
  };

  void append_frame(const UdpgwFrame& frame, uint64_t binding, Instant now);
  bool drop_oldest();
  void set_rebind();
  void forget_written();

  const RelayQueue::Limits limits_;
  ByteVector bytes_;
  size_t head_ = 0;
  std::deque<Frame> frames_;                      // what bytes_ holds from head_ on
  size_t written_ = 0;                            // of the first frame
  std::array<uint64_t, kConnections> at_peer_{};  // the bindings that the udpgw has, 0: none
  uint64_t dropped_ = 0;
};

}  // namespace tunproxy::udp
