#include "tun2socks/tcp_flow.h"

#include <algorithm>
#include <utility>

#include "lwip/pbuf.h"
#include "tun2socks/connection.h"

namespace tunproxy::tun2socks {
namespace {

/// Smaller packets are copied together: it costs less than a system call each, and does not pin a
/// block.
constexpr size_t kKeepAtLeast = size_t{16} * 1024;
constexpr uint16_t kSmallCopy = 2048;
constexpr uint16_t kLargeCopy = 0xffff - 64;

}  // namespace

TcpFlow::~TcpFlow() {
  if (connection_ != nullptr) stack_.close(*connection_, finished_ && got_fin_);
  while (first_ != nullptr) pop();
}

void TcpFlow::on_progress(std::function<void()> look_again) {
  look_again_ = std::move(look_again);
  if (look_again_) stack_.schedule_progress(*this);
}

// --- from the application ---

void TcpFlow::receive(pbuf* packet, bool may_keep) {
  unread_ += packet->len;
  if (may_keep && packet->len >= kKeepAtLeast) {
    tail_room_ = 0;
    append(packet, 0xffff);
    return;
  }
  append_copy({static_cast<const uint8_t*>(packet->payload), packet->len});
  pbuf_free(packet);
}

void TcpFlow::append_copy(Bytes bytes) {
  while (!bytes.empty()) {
    if (tail_room_ == 0) {
      const bool more = (first_ != nullptr || bytes.size() > kSmallCopy) &&
                        stack_.budget().allowance() > kLargeCopy;
      const uint16_t size = more ? kLargeCopy : kSmallCopy;
      pbuf* const block = pbuf_alloc(PBUF_RAW, size, PBUF_RAM);
      block->len = 0;
      tail_room_ = size;
      append(block, size);
    }
    const size_t n = std::min<size_t>(bytes.size(), tail_room_);
    std::memcpy(static_cast<uint8_t*>(last_->payload) + last_->len, bytes.data(), n);
    last_->len = static_cast<uint16_t>(last_->len + n);
    tail_room_ = static_cast<uint16_t>(tail_room_ - n);
    bytes = bytes.subspan(n);
  }
}

void TcpFlow::append(pbuf* packet, size_t cost) {
  packet->tot_len = static_cast<uint16_t>(cost);
  cost_ += cost;
  stack_.budget().charge(cost);
  (last_ != nullptr ? last_->next : first_) = packet;
  last_ = packet;
}

Bytes TcpFlow::peek() const {
  if (first_ == nullptr) return {};
  return {static_cast<const uint8_t*>(first_->payload), first_->len};
}

void TcpFlow::consume(size_t n) {
  if (n == 0) return;
  first_->payload = static_cast<uint8_t*>(first_->payload) + n;
  first_->len = static_cast<uint16_t>(first_->len - n);
  unread_ -= n;
  if (first_->len == 0) pop();
  if (connection_ != nullptr) connection_->credit(n);
}

void TcpFlow::pop() {
  pbuf* const done = std::exchange(first_, first_->next);
  if (first_ == nullptr) {
    last_ = nullptr;
    tail_room_ = 0;
  }
  cost_ -= done->tot_len;
  stack_.budget().release(done->tot_len);
  done->next = nullptr;
  pbuf_free(done);
}

// --- to the application ---

size_t TcpFlow::write(Bytes bytes) {
  if (connection_ == nullptr || !established_ || connection_->fin_requested) return 0;
  return connection_->write(bytes);
}

void TcpFlow::finish() {
  if (connection_ == nullptr || connection_->fin_requested) return;
  connection_->request_fin();
  stack_.touch(*connection_);
}

// --- events ---

void TcpFlow::lose_connection(bool orderly, Error error) {
  connection_ = nullptr;
  if (!orderly) {
    failed_ = true;
    error_ = std::move(error);
    while (first_ != nullptr) pop();
    unread_ = 0;
  }
  stack_.schedule_progress(*this);
}

void TcpFlow::look_again() {
  // The callback may put another in its own place.
  const std::function<void()> look_again = look_again_;
  if (look_again) look_again();
}

}  // namespace tunproxy::tun2socks
