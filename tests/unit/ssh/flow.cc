#include "tests/unit/ssh/flow.h"

#include <algorithm>
#include <utility>

namespace tunproxy::testing {
namespace {

constexpr size_t kBlock = 64 * 1024;

}  // namespace

uint8_t Pattern::next() {
  if (left_ == 0) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    word_ = state_;
    left_ = 8;
  }
  const auto byte = static_cast<uint8_t>(word_);
  word_ >>= 8;
  --left_;
  return byte;
}

void Pattern::fill(MutableBytes to) {
  for (uint8_t& byte : to) byte = next();
}

bool Pattern::check(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [this](uint8_t byte) { return byte == next(); });
}

Flow::Flow(std::unique_ptr<net::Stream> stream, Plan plan)
    : stream_(std::move(stream)),
      plan_(plan),
      outgoing_(plan.send_seed),
      incoming_(plan.receive_seed) {
  stream_->on_progress([this] { work(); });
}

void Flow::read_up_to(uint64_t bytes) {
  read_limit_ = bytes;
  stream_->on_progress([this] { work(); });
}

void Flow::work() {
  receive();
  if (!plan_.send_after_end || stream_->ended()) send();
}

void Flow::receive() {
  while (received_ < read_limit_ && !stream_->peek().empty()) {
    const Bytes all = stream_->peek();
    const Bytes bytes = all.first(std::min<uint64_t>(all.size(), read_limit_ - received_));
    if (!incoming_.check(bytes)) intact_ = false;
    received_ += bytes.size();
    stream_->consume(bytes.size());
  }
}

void Flow::send() {
  while (sent_ < plan_.to_send) {
    if (block_sent_ == block_.size()) {
      block_.resize(std::min<uint64_t>(kBlock, plan_.to_send - sent_));
      outgoing_.fill(block_);
      block_sent_ = 0;
    }
    const Bytes rest = Bytes(block_).subspan(block_sent_);
    const size_t taken = stream_->write(rest);
    block_sent_ += taken;
    sent_ += taken;
    if (taken < rest.size()) return;
  }
  stream_->finish();
}

}  // namespace tunproxy::testing
