// RelayQueue: what one side of the relay protocol has to say to the other and the stream has not
// taken yet. Both sides use it.
#pragma once

#include <cstdint>
#include <deque>

#include "core/base/bytes.h"
#include "core/base/time.h"
#include "core/udp/relay_wire.h"

namespace tunproxy::udp {

/// Real time comes before completeness: datagrams that are too many or too old are dropped, the
/// oldest first, and counted. Other messages overtake datagrams and are never dropped: beyond
/// kMaxControl none is taken. A message of which a part is out is always completed.
class RelayQueue {
 public:
  static constexpr size_t kMaxControl = 1024 * 1024;  ///< bytes; more means: nobody reads

  struct Limits {
    size_t datagrams = 64;
    size_t bytes = 4 * 1024 * 1024;  ///< of datagrams, with their headers
    Duration age = 100ms;
  };

  explicit RelayQueue(Limits limits) : limits_(limits) {}

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

  bool empty() const { return control_size() == 0 && frames_.empty(); }
  /// Another datagram would push one out.
  bool full() const;
  size_t datagrams() const { return frames_.size(); }
  size_t bytes() const { return bytes_.size() - head_; }  ///< of datagrams
  size_t control_size() const { return control_.size() - control_head_; }
  uint64_t dropped() const { return dropped_; }

 private:
  struct Frame {
    size_t size = 0;
    Instant queued;
  };

  bool drop_oldest();
  void forget_written();

  const Limits limits_;
  ByteVector control_;
  size_t control_head_ = 0;
  ByteVector bytes_;
  size_t head_ = 0;
  std::deque<Frame> frames_;  // what bytes_ holds from head_ on
  size_t written_ = 0;        // of the first frame
  uint64_t dropped_ = 0;
};

}  // namespace tunproxy::udp
