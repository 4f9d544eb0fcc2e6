// RelayQueue: what one side of the relay protocol has to say to the other and the stream has not
// taken yet. Both sides use it.
#pragma once

#include <cstdint>

#include "core/base/bytes.h"
#include "core/base/time.h"
#include "core/udp/frame_queue.h"
#include "core/udp/relay_wire.h"

namespace tunproxy::udp {

/// Datagrams are in a FrameQueue. Other messages overtake them and are never dropped: beyond
/// kMaxControl none is taken. A message of which a part is out is always completed.
class RelayQueue {
 public:
  static constexpr size_t kMaxControl = 1024 * 1024;  ///< bytes; more means: nobody reads

  using Limits = QueueLimits;

  explicit RelayQueue(Limits limits) : datagrams_(limits) {}

  /// False if the message is too long for the protocol, or kMaxControl is reached: nothing was
  /// queued then.
  bool push(const RelayMessage& message);
  void push_magic(const Hello::Nonce& nonce);
  /// The same for a UdpPacket, which may make the oldest one go.
  bool push_datagram(uint32_t connection, const Target& address, Bytes payload, Instant now);

  /// The next bytes for the stream, many messages in one piece; empty if there are none. Valid
  /// until the next call that is not const.
  Bytes front(Instant now);
  void consume(size_t n);  ///< REQUIRES: n <= front().size()

  bool empty() const { return control_size() == 0 && datagrams_.empty(); }
  /// Another datagram would push one out.
  bool full() const { return datagrams_.full(); }
  size_t datagrams() const { return datagrams_.frames(); }
  size_t bytes() const { return datagrams_.bytes(); }  ///< of datagrams
  size_t control_size() const { return control_.size() - control_head_; }
  const QueueDrops& dropped() const { return datagrams_.dropped(); }

 private:
  ByteVector control_;
  size_t control_head_ = 0;
  FrameQueue datagrams_;
};

}  // namespace tunproxy::udp
