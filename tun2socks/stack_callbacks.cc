#include <algorithm>

#include "core/base/log.h"
#include "tun2socks/stack_internal.h"

namespace tunproxy::tun2socks {
namespace {

constexpr uint32_t kFirstWindow = 0xffff;
constexpr uint32_t kSmallestFirstWindow = 4096;
constexpr size_t kShareOfAllowance = 16;

// What is promised to many at once has to fit: segments that are dropped cost each of them
// time-outs.
uint32_t first_window(const MemoryShare& budget) {
  const auto share = std::min<size_t>(budget.allowance() / kShareOfAllowance, kFirstWindow);
  return std::max(static_cast<uint32_t>(share), kSmallestFirstWindow);
}

}  // namespace

err_t Stack::Callbacks::opened(u8_t, tcp_pcb_listen*, tcp_pcb* pcb) {
  Connection* const connection = stack->opening_;
  if (connection == nullptr) return ERR_VAL;
  connection->pcb = pcb;
  tcp_ext_arg_set_callbacks(pcb, 0, &kExtension);
  tcp_ext_arg_set(pcb, 0, connection);
  tcp_arg(pcb, connection);
  tcp_recv(pcb, received);
  tcp_sent(pcb, sent);
  tcp_nagle_disable(pcb);
  connection->window_target = std::min<uint32_t>(TCP_WND_MAX(pcb), first_window(stack->budget_));
  pcb->rcv_wnd = pcb->rcv_ann_wnd = connection->window_target;
  return ERR_OK;
}

err_t Stack::Callbacks::accepted(void* argument, tcp_pcb* pcb, err_t) {
  auto& connection = *static_cast<Connection*>(argument);
  const StackOptions& options = stack->options_;
  const int headers = IP_IS_V6_VAL(pcb->remote_ip) ? 60 : 40;
  const int segment = options.mtu - headers;
  if (options.offloads && pcb->mss >= options.mtu - 60) {
    pcb->mss = static_cast<u16_t>((0xffff - headers) / segment * segment);
  } else {
    pcb->mss = static_cast<u16_t>(std::min<int>(pcb->mss, segment));
  }
  connection.established = true;
  if (connection.flow != nullptr) connection.flow->established_ = true;
  connection.notify = true;
  stack->touch(connection);
  return ERR_OK;
}

err_t Stack::Callbacks::received(void* argument, tcp_pcb* pcb, pbuf* packet, err_t) {
  auto& connection = *static_cast<Connection*>(argument);
  connection.notify = true;
  stack->touch(connection);
  if (packet == nullptr) {
    connection.got_fin = true;
    if (connection.flow != nullptr) connection.flow->got_fin_ = true;
    if (stack->options_.on_half_closed) stack->options_.on_half_closed();
    return ERR_OK;
  }
  while (packet != nullptr) {
    pbuf* const rest = std::exchange(packet->next, nullptr);
    take(connection, packet);
    packet = rest;
  }
  // One acknowledgement a batch, not one a segment.
  tcp_clear_flags(pcb, TF_ACK_DELAY | TF_ACK_NOW);
  connection.ack_due = true;
  return ERR_OK;
}

err_t Stack::Callbacks::sent(void* argument, tcp_pcb*, u16_t bytes) {
  auto& connection = *static_cast<Connection*>(argument);
  connection.acknowledged(bytes);
  connection.notify = true;
  stack->touch(connection);
  return ERR_OK;
}

void Stack::Callbacks::destroyed(u8_t, void* argument) {
  if (argument == nullptr) return;
  std::unique_ptr<Connection> connection(static_cast<Connection*>(argument));
  stack->destroyed(*connection);
}

err_t Stack::Callbacks::output_v4(netif*, pbuf* packet, const ip4_addr_t*) {
  return stack->output(packet) ? ERR_OK : ERR_BUF;
}

err_t Stack::Callbacks::output_v6(netif*, pbuf* packet, const ip6_addr_t*) {
  return stack->output(packet) ? ERR_OK : ERR_BUF;
}

err_t Stack::Callbacks::interface_added(netif* added) {
  added->output = output_v4;
  added->output_ip6 = output_v6;
  added->mtu = 0;
  return ERR_OK;
}

void Stack::Callbacks::assertion(const char* message, const char* file, int line) {
  log::debug("lwip: {} ({}:{})", message, file, line);
}

uint32_t Stack::Callbacks::make_isn(const ip_addr* local, uint16_t local_port,
                                    const ip_addr* remote, uint16_t remote_port) {
  uint8_t tuple[36] = {};
  const size_t length = IP_IS_V6(remote) ? 16 : 4;
  std::memcpy(tuple, &local->u_addr, length);
  std::memcpy(tuple + 16, &remote->u_addr, length);
  store_be16(tuple + 32, local_port);
  store_be16(tuple + 34, remote_port);
  const auto clock = static_cast<uint64_t>(stack->loop_.now().time_since_epoch().count());
  return static_cast<uint32_t>(stack->hash_(tuple) + clock * 250);
}

void Stack::Callbacks::take(Connection& connection, pbuf* packet) {
  if (connection.flow == nullptr || packet->len == 0) {
    pbuf_free(packet);
    return;
  }
  const bool custom = (packet->flags & PBUF_FLAG_IS_CUSTOM) != 0;
  connection.flow->receive(packet, !custom || stack->storage_ != nullptr);
}

}  // namespace tunproxy::tun2socks
