// Relay: joins two streams, both ways, with half-close. It has no buffer of its own: what one side
// does not take stays with the other, so the windows of both sides are one chain of backpressure.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/net/stream.h"

namespace tunproxy::net {

/// Owns both streams. Lives in one loop thread.
class Relay {
 public:
  /// `on_done` is called once, from a stream's callback, when both directions have ended (error is
  /// nullptr) or one side failed; its owner then retires the relay (Loop::retire), which closes
  /// both streams, the healthy one with a reset if the other failed.
  Relay(std::unique_ptr<Stream> a, std::unique_ptr<Stream> b,
        std::function<void(const Error*)> on_done);

  uint64_t bytes_a_to_b() const { return a_to_b_; }
  uint64_t bytes_b_to_a() const { return b_to_a_; }
  /// One direction has ended, the other has not.
  bool half_closed() const { return a_->ended() != b_->ended(); }

 private:
  void pump();

  std::unique_ptr<Stream> a_;
  std::unique_ptr<Stream> b_;
  std::function<void(const Error*)> on_done_;
  uint64_t a_to_b_ = 0;
  uint64_t b_to_a_ = 0;
};

}  // namespace tunproxy::net
