// lwIP's timers, which run only while something is due.
#include "tun2socks/stack_internal.h"

namespace tunproxy::tun2socks {

namespace {

constexpr Duration kTick = std::chrono::milliseconds(TCP_FAST_INTERVAL);
constexpr Duration kSlowTick = std::chrono::milliseconds(TCP_SLOW_INTERVAL);

}  // namespace

void Stack::rearm(Connection& connection) {
  if (!connection.needs_timer()) {
    disarm(connection);
    return;
  }
  if (connection.armed) return;
  connection.armed = true;
  ++armed_;
  if (!timer_.active()) timer_.start(kTick);
}

void Stack::disarm(Connection& connection) {
  if (!std::exchange(connection.armed, false)) return;
  if (--armed_ == 0) timer_.stop();
}

void Stack::catch_up_ticks() {
  const auto ticks = (loop_.now() - last_tick_) / kSlowTick;
  tcp_ticks += static_cast<u32_t>(ticks);
  last_tick_ += ticks * kSlowTick;
}

void Stack::on_timer() {
  ++timer_wakeups_;
  slow_turn_ = !slow_turn_;
  assert(!entered_);
  entered_ = true;
  join_buckets();
  tcp_fasttmr();
  if (slow_turn_) {
    tcp_slowtmr();  // counts one tick itself
    last_tick_ = loop_.now();
  }
  redistribute();
  entered_ = false;
  if (armed_ > 0) timer_.start(kTick);
}

void Stack::join_buckets() {
  const auto append = [](tcp_pcb*& all, tcp_pcb*& list) {
    if (list == nullptr) return;
    tcp_pcb* tail = list;
    while (tail->next != nullptr) tail = tail->next;
    tail->next = all;
    all = std::exchange(list, nullptr);
  };
  for (Bucket& bucket : buckets_) {
    append(tcp_active_pcbs, bucket.active);
    append(tcp_tw_pcbs, bucket.time_wait);
  }
}

void Stack::redistribute() {
  const auto move_all = [this](tcp_pcb*& all, tcp_pcb* Bucket::*list) {
    while (all != nullptr) {
      tcp_pcb* const pcb = std::exchange(all, all->next);
      auto& connection = *static_cast<Connection*>(tcp_ext_arg_get(pcb, 0));
      tcp_pcb*& head = buckets_[connection.bucket].*list;
      pcb->next = std::exchange(head, pcb);
      rearm(connection);
    }
  };
  move_all(tcp_active_pcbs, &Bucket::active);
  move_all(tcp_tw_pcbs, &Bucket::time_wait);
}

}  // namespace tunproxy::tun2socks
