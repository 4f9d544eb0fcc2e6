#include "core/net/relay.h"

#include <utility>

namespace tunproxy::net {
namespace {

uint64_t move_bytes(Stream& from, Stream& to) {
  uint64_t moved = 0;
  for (Bytes bytes = from.peek(); !bytes.empty(); bytes = from.peek()) {
    const size_t taken = to.write(bytes);
    from.consume(taken);
    moved += taken;
    if (taken < bytes.size()) break;
  }
  if (from.ended()) to.finish();
  return moved;
}

}  // namespace

Relay::Relay(std::unique_ptr<Stream> a, std::unique_ptr<Stream> b,
             std::function<void(const Error*)> on_done)
    : a_(std::move(a)), b_(std::move(b)), on_done_(std::move(on_done)) {
  a_->on_progress([this] { pump(); });
  b_->on_progress([this] { pump(); });
}

void Relay::pump() {
  if (!on_done_) return;
  a_to_b_ += move_bytes(*a_, *b_);
  b_to_a_ += move_bytes(*b_, *a_);
  const Error* error = a_->error() != nullptr ? a_->error() : b_->error();
  const bool complete = a_->ended() && b_->ended() && a_->finished() && b_->finished();
  if (error != nullptr || complete) std::exchange(on_done_, nullptr)(error);
}

}  // namespace tunproxy::net
