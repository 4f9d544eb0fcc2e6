#include "tun2socks/connection.h"

#include <algorithm>

#include "lwip/priv/tcp_priv.h"
#include "tun2socks/stack.h"

namespace tunproxy::tun2socks {
namespace {

constexpr size_t kWriteAtMost = 0xffff;  // tcp_write counts in 16 bits

size_t out_of_order_bytes(const tcp_pcb& pcb) {
  size_t bytes = 0;
  for (const tcp_seg* segment = pcb.ooseq; segment != nullptr; segment = segment->next) {
    bytes += segment->p->tot_len + sizeof(tcp_seg) + sizeof(pbuf);
  }
  return bytes;
}

}  // namespace

Connection::~Connection() {
  stack.budget().release(queue_cost + out_of_order_cost);
  while (first_) first_ = std::move(first_->next);
}

size_t Connection::room() const {
  const size_t allowance = stack.budget().allowance();
  const size_t unused = last_ != nullptr ? last_->capacity - last_->used : 0;
  size_t memory = allowance > queue_cost ? allowance - queue_cost : 0;
  // Less than a chunk is nothing: the cap is on chunks.
  memory = memory < SendChunk::kSmall ? unused : memory + unused;
  // Before the first window is known, lwIP would cut segments that it later finds too long.
  return pcb->snd_wnd_max < 2 ? 0 : std::min<size_t>(pcb->snd_buf, memory);
}

size_t Connection::write(Bytes bytes) {
  const size_t wanted = std::min(bytes.size(), room());
  size_t taken = 0;
  while (taken < wanted) {
    SendChunk& chunk = tail_with_room(wanted - taken);
    const size_t n = std::min({wanted - taken, size_t{chunk.capacity} - chunk.used, kWriteAtMost});
    uint8_t* const to = chunk.bytes.get() + chunk.used;
    std::memcpy(to, bytes.data() + taken, n);
    if (tcp_write(pcb, to, static_cast<u16_t>(n), 0) != ERR_OK) break;
    chunk.used += static_cast<uint32_t>(n);
    taken += n;
  }
  if (taken < bytes.size()) {
    blocked = true;
    if (send_queue_empty()) stack.wait_for_memory(*this);
  }
  if (taken > 0) stack.touch(*this);
  return taken;
}

SendChunk& Connection::tail_with_room(size_t wanted) {
  if (last_ != nullptr && last_->used < last_->capacity) return *last_;
  auto chunk = stack.take_chunk(std::clamp(wanted, SendChunk::kSmall, SendChunk::kFull));
  queue_cost += chunk->capacity;
  stack.budget().charge(chunk->capacity);
  SendChunk* const added = chunk.get();
  (last_ != nullptr ? last_->next : first_) = std::move(chunk);
  last_ = added;
  return *added;
}

void Connection::acknowledged(size_t n) {
  while (first_) {
    const size_t here = std::min<size_t>(n, first_->used - first_->acknowledged);
    first_->acknowledged += static_cast<uint32_t>(here);
    n -= here;
    if (first_->acknowledged < first_->used) return;
    queue_cost -= first_->capacity;
    stack.budget().release(first_->capacity);
    std::unique_ptr<SendChunk> done = std::move(first_);
    first_ = std::move(done->next);
    stack.give_back(std::move(done));
  }
  last_ = nullptr;
}

void Connection::credit(size_t n) {
  const uint32_t limit = TCP_WND_MAX(pcb);
  consumed += static_cast<uint32_t>(n);
  if (consumed >= window_target && window_target < limit) {
    window_target = std::min(limit, window_target * 2);
    consumed = 0;
  }
  const auto allowance = static_cast<uint32_t>(
      std::clamp<size_t>(stack.budget().allowance(), TCP_WND_MAX(pcb) / 64, limit));
  const uint32_t target = std::min(window_target, allowance);
  const auto held = static_cast<uint32_t>(stack.unread(*this));
  // The window never shrinks: credit is withheld instead.
  if (target > held && target - held > pcb->rcv_wnd) pcb->rcv_wnd = target - held;
  const uint32_t news = pcb->rcv_nxt + pcb->rcv_wnd - pcb->rcv_ann_right_edge;
  const uint32_t announced = pcb->rcv_ann_right_edge - pcb->rcv_nxt;
  if (static_cast<int32_t>(news) > 0 && (news >= target / 4 || announced < target / 4)) {
    ack_due = true;
    stack.touch(*this);
  }
}

void Connection::finish_batch() {
  const bool may_close = pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT;
  // A FIN into a closed window may be thrown away by the application's kernel.
  if (fin_requested && !fin_sent && may_close && send_queue_empty() && pcb->snd_wnd > 0) {
    fin_sent = stack.shut_down(*this);
    notify = notify || fin_sent;
  }
  if (ack_due) {
    ack_due = false;
    pcb->rcv_ann_wnd = std::max(pcb->rcv_ann_wnd, pcb->rcv_wnd);
    tcp_ack_now(pcb);
  }
  tcp_output(pcb);
  if (pcb->ooseq != nullptr || out_of_order_cost != 0) {
    stack.budget().release(out_of_order_cost);
    out_of_order_cost = out_of_order_bytes(*pcb);
    stack.budget().charge(out_of_order_cost);
  }
}

bool Connection::needs_timer() const {
  constexpr int kPending = TF_ACK_DELAY | TF_ACK_NOW | TF_CLOSEPEND;
  if (pcb->unsent != nullptr || pcb->unacked != nullptr || pcb->ooseq != nullptr) return true;
  if ((pcb->flags & kPending) != 0) return true;
  if (pcb->state == FIN_WAIT_2) return (pcb->flags & TF_RXCLOSED) != 0;
  return pcb->state != ESTABLISHED && pcb->state != CLOSE_WAIT;
}

}  // namespace tunproxy::tun2socks
