// One end of a connection that sends and checks reproducible bytes.
#pragma once

#include <cstdint>
#include <memory>

#include "core/net/stream.h"

namespace tunproxy::testing {

/// Reproducible bytes without a period that blocks or packets could hide behind.
class Pattern {
 public:
  explicit Pattern(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  void fill(MutableBytes to);
  bool check(Bytes bytes);  ///< true if they are the next ones

 private:
  uint8_t next();
  uint64_t state_;
  uint64_t word_ = 0;
  unsigned left_ = 0;
};

/// Sends `to_send` bytes and an end, and expects `to_receive` bytes and an end. Works whenever the
/// stream says so.
class Flow {
 public:
  struct Plan {
    uint64_t send_seed = 0;
    uint64_t to_send = 0;
    uint64_t receive_seed = 0;
    uint64_t to_receive = 0;
    bool send_after_end = false;  ///< sends only when the other end has ended
  };

  Flow(std::unique_ptr<net::Stream> stream, Plan plan);

  /// What may arrive from now on, in all; UINT64_MAX: everything.
  void read_up_to(uint64_t bytes);
  bool done() const { return sent_all() && received_all(); }
  bool sent_all() const { return sent_ == plan_.to_send && stream_->finished(); }
  bool received_all() const { return received_ == plan_.to_receive && stream_->ended(); }
  bool intact() const { return intact_; }
  uint64_t sent() const { return sent_; }
  uint64_t received() const { return received_; }
  net::Stream& stream() { return *stream_; }
  const Error* error() const { return stream_->error(); }

 private:
  void work();
  void receive();
  void send();

  std::unique_ptr<net::Stream> stream_;
  const Plan plan_;
  Pattern outgoing_;
  Pattern incoming_;
  ByteVector block_;
  size_t block_sent_ = 0;
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
  uint64_t read_limit_ = UINT64_MAX;
  bool intact_ = true;
};

}  // namespace tunproxy::testing
