// The inside of Stack that its files share. For Stack only.
#pragma once

#include <cassert>
#include <utility>

#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "tun2socks/stack.h"
#include "tun2socks/tcp_flow.h"

namespace tunproxy::tun2socks {

/// Puts the lists of one bucket in the place of lwIP's while something may touch them.
class Stack::Entered {
 public:
  Entered(Stack& stack, size_t bucket) : stack_(stack), bucket_(stack.buckets_[bucket]) {
    assert(!stack_.entered_);
    stack_.entered_ = true;
    tcp_active_pcbs = bucket_.active;
    tcp_tw_pcbs = bucket_.time_wait;
  }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;
  ~Entered() {
    bucket_.active = std::exchange(tcp_active_pcbs, nullptr);
    bucket_.time_wait = std::exchange(tcp_tw_pcbs, nullptr);
    stack_.entered_ = false;
  }

 private:
  Stack& stack_;
  Bucket& bucket_;
};

/// lwIP's callbacks, in the order in which a connection meets them. None of them closes anything,
/// and none returns an error: 2.2.1 goes on with freed memory after some.
struct Stack::Callbacks {
  static err_t opened(u8_t, tcp_pcb_listen*, tcp_pcb* pcb);
  static err_t accepted(void* argument, tcp_pcb* pcb, err_t);
  static err_t received(void* argument, tcp_pcb* pcb, pbuf* packet, err_t);
  static err_t sent(void* argument, tcp_pcb*, u16_t bytes);
  /// Comes with every end of a pcb, whatever the reason, and just before its memory goes.
  static void destroyed(u8_t, void* argument);
  static err_t output_v4(netif*, pbuf* packet, const ip4_addr_t*);
  static err_t output_v6(netif*, pbuf* packet, const ip6_addr_t*);
  static err_t interface_added(netif* added);
  static void assertion(const char* message, const char* file, int line);
  static uint32_t make_isn(const ip_addr* local, uint16_t local_port, const ip_addr* remote,
                           uint16_t remote_port);
  static void take(Connection& connection, pbuf* packet);

  static constexpr tcp_ext_arg_callbacks kExtension = {destroyed, opened};
  static inline thread_local Stack* stack = nullptr;  ///< the one that lives in this thread
};

/// A packet in the device's memory, as lwIP sees it. It owns the memory only if somebody kept it.
struct Stack::PacketPbuf {
  pbuf_custom custom;  // first: lwIP knows it by this address
  PacketBuffer storage;
  bool in_use = false;

  static void free(pbuf* packet) {
    auto* const self = reinterpret_cast<PacketPbuf*>(packet);
    self->in_use = false;
    self->storage.reset();
    if (Callbacks::stack->spare_.get() == self) return;
    const std::unique_ptr<PacketPbuf> last(self);
  }
};

}  // namespace tunproxy::tun2socks
