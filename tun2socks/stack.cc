#include "tun2socks/stack.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <utility>

#include "core/base/log.h"
#include "lwip/ip.h"
#include "lwip/mem.h"
#include "lwip/memp.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "tun2socks/stack_internal.h"
#include "tun2socks/tcp_flow.h"

namespace tunproxy::tun2socks {
namespace {

constexpr size_t kBuckets = 4096;
constexpr uint32_t kFirstWindow = 0xffff;
constexpr size_t kSpareChunks = 8;
constexpr size_t kEnoughMemory = size_t{16} * 1024;

std::atomic<bool> stack_exists = false;
Stack* the_stack = nullptr;

}  // namespace

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
  static err_t opened(u8_t, tcp_pcb_listen*, tcp_pcb* pcb) {
    Connection* const connection = the_stack->opening_;
    if (connection == nullptr) return ERR_VAL;
    connection->pcb = pcb;
    tcp_ext_arg_set_callbacks(pcb, 0, &kExtension);
    tcp_ext_arg_set(pcb, 0, connection);
    tcp_arg(pcb, connection);
    tcp_recv(pcb, received);
    tcp_sent(pcb, sent);
    tcp_nagle_disable(pcb);
    connection->window_target = std::min<uint32_t>(TCP_WND_MAX(pcb), kFirstWindow);
    pcb->rcv_wnd = pcb->rcv_ann_wnd = connection->window_target;
    return ERR_OK;
  }

  static err_t accepted(void* argument, tcp_pcb* pcb, err_t) {
    auto& connection = *static_cast<Connection*>(argument);
    const StackOptions& options = the_stack->options_;
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
    the_stack->touch(connection);
    return ERR_OK;
  }

  static err_t received(void* argument, tcp_pcb* pcb, pbuf* packet, err_t) {
    auto& connection = *static_cast<Connection*>(argument);
    connection.notify = true;
    the_stack->touch(connection);
    if (packet == nullptr) {
      connection.got_fin = true;
      if (connection.flow != nullptr) connection.flow->got_fin_ = true;
      if (the_stack->options_.on_half_closed) the_stack->options_.on_half_closed();
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

  static err_t sent(void* argument, tcp_pcb*, u16_t bytes) {
    auto& connection = *static_cast<Connection*>(argument);
    connection.acknowledged(bytes);
    connection.notify = true;
    the_stack->touch(connection);
    return ERR_OK;
  }

  /// Comes with every end of a pcb, whatever the reason, and just before its memory goes.
  static void destroyed(u8_t, void* argument) {
    if (argument == nullptr) return;
    std::unique_ptr<Connection> connection(static_cast<Connection*>(argument));
    the_stack->destroyed(*connection);
  }

  static err_t output_v4(netif*, pbuf* packet, const ip4_addr_t*) {
    return the_stack->output(packet) ? ERR_OK : ERR_BUF;
  }
  static err_t output_v6(netif*, pbuf* packet, const ip6_addr_t*) {
    return the_stack->output(packet) ? ERR_OK : ERR_BUF;
  }
  static err_t interface_added(netif* added) {
    added->output = output_v4;
    added->output_ip6 = output_v6;
    added->mtu = 0;
    return ERR_OK;
  }
  static void assertion(const char* message, const char* file, int line) {
    log::debug("lwip: {} ({}:{})", message, file, line);
  }
  static uint32_t make_isn(const ip_addr* local, uint16_t local_port, const ip_addr* remote,
                           uint16_t remote_port) {
    uint8_t tuple[36] = {};
    const size_t length = IP_IS_V6(remote) ? 16 : 4;
    std::memcpy(tuple, &local->u_addr, length);
    std::memcpy(tuple + 16, &remote->u_addr, length);
    store_be16(tuple + 32, local_port);
    store_be16(tuple + 34, remote_port);
    const auto clock = static_cast<uint64_t>(the_stack->loop_.now().time_since_epoch().count());
    return static_cast<uint32_t>(the_stack->hash_(tuple) + clock * 250);
  }

  static void take(Connection& connection, pbuf* packet) {
    if (connection.flow == nullptr || packet->len == 0) {
      pbuf_free(packet);
      return;
    }
    const bool custom = (packet->flags & PBUF_FLAG_IS_CUSTOM) != 0;
    connection.flow->receive(packet, !custom || the_stack->storage_ != nullptr);
  }

  static constexpr tcp_ext_arg_callbacks kExtension = {destroyed, opened};
};

uint64_t Stack::assertions() {
  return tunproxy_lwip_assertions;
}

Result<std::unique_ptr<Stack>> Stack::create(io::Loop& loop, const StackOptions& options,
                                             Transmit transmit) {
  if (stack_exists.exchange(true)) {
    return Error{ErrorCode::limit,
                 "this process already runs a TUN engine; only one can run at a time"};
  }
  std::unique_ptr<Stack> stack(new Stack(loop, options, std::move(transmit)));
  if (auto ready = stack->set_up(); !ready) return ready.error();
  return stack;
}

Stack::Stack(io::Loop& loop, const StackOptions& options, Transmit transmit)
    : loop_(loop),
      options_(options),
      transmit_(std::move(transmit)),
      budget_(options.memory_cap),
      buckets_(kBuckets),
      interface_(std::make_unique<netif>()),
      settle_(loop, [this] { settle(); }),
      timer_(loop, [this] { on_timer(); }),
      last_tick_(loop.now()) {
  the_stack = this;
  tunproxy_lwip_window = options.window;
  tunproxy_lwip_send_buffer = options.send_buffer;
  tunproxy_lwip_on_assertion = Callbacks::assertion;
  tunproxy_lwip_make_isn = Callbacks::make_isn;
}

Result<void> Stack::set_up() {
  static const bool initialised = [] {
    mem_init();
    memp_init();
    netif_init();
    tcp_init();
    return true;
  }();
  (void)initialised;
  netif_add_noaddr(interface_.get(), nullptr, Callbacks::interface_added, nullptr);
  netif_set_link_up(interface_.get());
  netif_set_up(interface_.get());
  tcp_pcb* const pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);
  if (pcb == nullptr) return Error{ErrorCode::limit, "no memory for the TCP stack"};
  tcp_bind(pcb, IP_ANY_TYPE, 1);
  tcp_bind_netif(pcb, interface_.get());
  listener_ = tcp_listen(pcb);
  if (listener_ == nullptr) {
    tcp_abort(pcb);
    return Error{ErrorCode::limit, "no memory for the TCP stack"};
  }
  tcp_accept(listener_, Callbacks::accepted);
  tcp_ext_arg_set_callbacks(listener_, 0, &Callbacks::kExtension);
  return {};
}

Stack::~Stack() {
  // What is left are orderly closes that lwIP was finishing.
  for (size_t i = 0; i < buckets_.size(); ++i) {
    const Entered entered(*this, i);
    while (tcp_active_pcbs != nullptr) tcp_abort(tcp_active_pcbs);
    while (tcp_tw_pcbs != nullptr) tcp_abort(tcp_tw_pcbs);
  }
  if (listener_ != nullptr) tcp_close(listener_);
  netif_remove(interface_.get());
  tunproxy_lwip_on_assertion = nullptr;
  tunproxy_lwip_make_isn = nullptr;
  the_stack = nullptr;
  stack_exists = false;
}

// --- in ---

namespace {

void load_address(ip_addr_t& to, Bytes bytes) {
  if (bytes.size() == 4) {
    uint32_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    ip_addr_set_ip4_u32_val(to, word);
    return;
  }
  std::memcpy(ip_2_ip6(&to)->addr, bytes.data(), 16);
  IP_SET_TYPE_VAL(to, IPADDR_TYPE_V6);
}

void load_globals(const IpPacket& packet, netif* interface) {
  ip_data.current_netif = interface;
  ip_data.current_input_netif = interface;
  uint8_t* const header = packet.whole.data();
  ip_data.current_ip4_header = packet.v6 ? nullptr : reinterpret_cast<const ip_hdr*>(header);
  ip_data.current_ip6_header = packet.v6 ? reinterpret_cast<ip6_hdr*>(header) : nullptr;
  ip_data.current_ip_header_tot_len = static_cast<u16_t>(packet.header_length);
  load_address(ip_data.current_iphdr_src, packet.source());
  load_address(ip_data.current_iphdr_dest, packet.destination());
}

bool same_tuple(const tcp_pcb& pcb, const TcpHeader& header) {
  return pcb.remote_port == header.source_port && pcb.local_port == header.destination_port &&
         ip_addr_eq(&pcb.remote_ip, ip_current_src_addr()) &&
         ip_addr_eq(&pcb.local_ip, ip_current_dest_addr());
}

}  // namespace

size_t Stack::bucket_of(const IpPacket& packet, const TcpHeader& header) const {
  uint8_t tuple[36] = {};
  const size_t length = packet.source().size();
  std::memcpy(tuple, packet.source().data(), length);
  std::memcpy(tuple + length, packet.destination().data(), length);
  store_be16(tuple + 2 * length, header.source_port);
  store_be16(tuple + 2 * length + 2, header.destination_port);
  return hash_(Bytes(tuple).first(2 * length + 4)) % kBuckets;
}

Connection* Stack::find(const TcpHeader& header) const {
  for (tcp_pcb* pcb = tcp_active_pcbs; pcb != nullptr; pcb = pcb->next) {
    if (same_tuple(*pcb, header)) return static_cast<Connection*>(tcp_ext_arg_get(pcb, 0));
  }
  return nullptr;
}

bool Stack::knows(const IpPacket& packet, const TcpHeader& header) {
  const Entered entered(*this, bucket_of(packet, header));
  load_globals(packet, interface_.get());
  return find(header) != nullptr;
}

Drop Stack::input(const IpPacket& packet, const TcpHeader& header, PacketBuffer* storage) {
  const Entered entered(*this, bucket_of(packet, header));
  load_globals(packet, interface_.get());
  Connection* const connection = find(header);
  bool transient = header.sequence_length() == 0;
  if (connection != nullptr) {
    touch(*connection);
    connection->notify = connection->notify || connection->blocked;
    if (const Drop drop = admit(*connection, header); drop != Drop::none) return drop;
    transient = transient || header.sequence == connection->pcb->rcv_nxt;
    // Out of order, perhaps to be kept: counted exactly at the end of the batch.
    const size_t cost = transient ? 0 : header.payload_length;
    connection->out_of_order_cost += cost;
    budget_.charge(cost);
  }
  pbuf* const segment = wrap(packet.payload(), transient);
  if (segment == nullptr) return Drop::memory_limit;
  storage_ = transient ? storage : nullptr;
  inject(segment, header);
  storage_ = nullptr;
  return Drop::none;
}

Drop Stack::admit(Connection& connection, const TcpHeader& header) {
  const tcp_pcb& pcb = *connection.pcb;
  const uint32_t length = header.sequence_length();
  if (length == 0 || (header.flags & kTcpRst) != 0) return Drop::none;
  const uint32_t beyond = header.sequence + length - (pcb.rcv_nxt + pcb.rcv_wnd);
  if (static_cast<int32_t>(beyond) > 0) {
    connection.ack_due = true;  // RFC 9293 §3.10.7.4
    return Drop::out_of_window;
  }
  const size_t held = connection.flow != nullptr ? connection.flow->cost_ : 0;
  const size_t after = held + connection.out_of_order_cost + header.payload_length;
  const bool full = header.payload_length > 0 && after > 2 * budget_.allowance();
  return full ? Drop::memory_limit : Drop::none;
}

/// A packet in the device's memory, as lwIP sees it. It owns the memory only if somebody kept it.
struct Stack::PacketPbuf {
  pbuf_custom custom;  // first: lwIP knows it by this address
  PacketBuffer storage;
  bool in_use = false;

  static void free(pbuf* packet) {
    auto* const self = reinterpret_cast<PacketPbuf*>(packet);
    self->in_use = false;
    self->storage.reset();
    if (the_stack->spare_.get() == self) return;
    const std::unique_ptr<PacketPbuf> last(self);
  }
};

pbuf* Stack::wrap(MutableBytes segment, bool transient) {
  const auto length = static_cast<u16_t>(segment.size());
  if (!transient) {
    pbuf* const copy = pbuf_alloc(PBUF_RAW, length, PBUF_RAM);
    if (copy != nullptr) std::memcpy(copy->payload, segment.data(), length);
    return copy;
  }
  if (!spare_) spare_ = std::make_unique<PacketPbuf>();
  spare_->in_use = true;
  spare_->custom.custom_free_function = PacketPbuf::free;
  return pbuf_alloced_custom(PBUF_RAW, length, PBUF_REF, &spare_->custom, segment.data(), length);
}

void Stack::inject(pbuf* segment, const TcpHeader& header) {
  listener_->local_port = header.destination_port;
  tcp_input(segment, interface_.get());
  if (spare_ && spare_->in_use) {
    // Somebody keeps the packet, and so its memory.
    assert(storage_ != nullptr);
    PacketPbuf* const kept = spare_.release();
    kept->storage = std::move(*storage_);
  }
}

std::unique_ptr<TcpFlow> Stack::open(ByteVector syn) {
  IpPacket packet;
  parse_ip(syn, packet);
  const TcpHeader header = parse_tcp(packet.payload()).value_or(TcpHeader{});
  std::unique_ptr<TcpFlow> flow(new TcpFlow(*this));
  const size_t bucket = bucket_of(packet, header);
  auto connection = std::make_unique<Connection>(*this, *flow, bucket);
  if (!timer_.active()) catch_up_ticks();
  const Entered entered(*this, bucket);
  load_globals(packet, interface_.get());
  for (tcp_pcb* pcb = tcp_tw_pcbs; pcb != nullptr; pcb = pcb->next) {
    if (!same_tuple(*pcb, header)) continue;
    tcp_abort(pcb);
    break;
  }
  opening_ = connection.get();
  if (pbuf* const segment = wrap(packet.payload(), false)) inject(segment, header);
  opening_ = nullptr;
  if (connection->pcb == nullptr) {
    flow->lose_connection(false, {ErrorCode::limit, "no memory for a connection"});
    return flow;
  }
  flow->connection_ = connection.get();
  touch(*connection.release());
  return flow;
}

// --- out ---

bool Stack::output(pbuf* packet) {
  std::array<Bytes, 32> parts;
  size_t count = 0;
  for (const pbuf* part = packet; part != nullptr && count < parts.size(); part = part->next) {
    parts[count++] = {static_cast<const uint8_t*>(part->payload), part->len};
  }
  ByteVector joined;
  if (pbuf_clen(packet) > parts.size()) {
    joined.resize(packet->tot_len);
    pbuf_copy_partial(packet, joined.data(), packet->tot_len, 0);
    parts[0] = joined;
    count = 1;
  }
  auto* const bytes = const_cast<uint8_t*>(parts[0].data());
  const OutgoingTcp outgoing{{bytes, parts[0].size()}, {parts.data(), count}, packet->tot_len};
  const Offload offload = finish_tcp(outgoing, options_.mtu, options_.offloads);
  return transmit_({parts.data(), count}, offload);
}

// --- the end of the batch ---

void Stack::touch(Connection& connection) {
  if (connection.slot != Connection::kNotTouched) return;
  if (!timer_.active()) catch_up_ticks();
  connection.slot = touched_.size();
  touched_.push_back(&connection);
  settle_.schedule();
}

void Stack::schedule_progress(TcpFlow& flow) {
  if (flow.connection_ != nullptr) {
    flow.connection_->notify = true;
    touch(*flow.connection_);
    return;
  }
  forget(flow);
  orphans_.push_back(&flow);
  settle_.schedule();
}

void Stack::forget(TcpFlow& flow) {
  std::replace(orphans_.begin(), orphans_.end(), &flow, static_cast<TcpFlow*>(nullptr));
}

void Stack::settle() {
  for (size_t i = 0; i < touched_.size(); ++i) {
    if (touched_[i] != nullptr) work_on(*touched_[i]);
  }
  touched_.clear();
  for (size_t i = 0; i < orphans_.size(); ++i) {
    if (TcpFlow* const flow = std::exchange(orphans_[i], nullptr)) flow->look_again();
  }
  orphans_.clear();
  feed_starved();
}

void Stack::work_on(Connection& connection) {
  const size_t slot = connection.slot;
  if (std::exchange(connection.notify, false) && connection.flow != nullptr) {
    connection.blocked = false;
    connection.flow->look_again();
    if (touched_[slot] == nullptr) return;
  }
  connection.finish_batch();
  if (connection.fin_sent && connection.flow != nullptr) connection.flow->finished_ = true;
  rearm(connection);
  touched_[slot] = nullptr;
  connection.slot = Connection::kNotTouched;
  if (connection.notify) touch(connection);
}

void Stack::wait_for_memory(Connection& connection) {
  if (connection.starved || budget_.allowance() >= kEnoughMemory) return;
  connection.starved = true;
  starved_.push_back(&connection);
}

void Stack::feed_starved() {
  if (starved_.empty() || budget_.allowance() < kEnoughMemory) return;
  for (Connection* const connection : std::exchange(starved_, {})) {
    connection->starved = false;
    connection->notify = true;
    touch(*connection);
  }
}

size_t Stack::unread(const Connection& connection) const {
  return connection.flow != nullptr ? connection.flow->unread_ : 0;
}

std::unique_ptr<SendChunk> Stack::take_chunk(size_t size) {
  if (size < SendChunk::kFull || chunks_.empty()) return std::make_unique<SendChunk>(size);
  std::unique_ptr<SendChunk> chunk = std::move(chunks_.back());
  chunks_.pop_back();
  return chunk;
}

void Stack::give_back(std::unique_ptr<SendChunk> chunk) {
  if (chunk->capacity != SendChunk::kFull || chunks_.size() >= kSpareChunks) return;
  chunk->used = chunk->acknowledged = 0;
  chunks_.push_back(std::move(chunk));
}

// --- ends ---

bool Stack::shut_down(Connection& connection) {
  const Entered entered(*this, connection.bucket);
  if (tcp_shutdown(connection.pcb, 0, 1) != ERR_OK) return false;
  if (options_.on_half_closed) options_.on_half_closed();
  return true;
}

void Stack::close(Connection& connection, bool orderly) {
  connection.flow = nullptr;
  const Entered entered(*this, connection.bucket);
  if (!orderly) {
    tcp_abort(connection.pcb);
    return;
  }
  tcp_close(connection.pcb);
  touch(connection);
}

void Stack::destroyed(Connection& connection) {
  disarm(connection);
  if (connection.slot != Connection::kNotTouched) touched_[connection.slot] = nullptr;
  if (connection.starved) std::erase(starved_, &connection);
  if (connection.flow == nullptr) return;
  const bool silent = connection.pcb->nrtx >= TCP_MAXRTX;
  connection.flow->lose_connection(
      connection.complete(), silent
                                 ? Error{ErrorCode::timed_out, "the application does not answer"}
                                 : Error{ErrorCode::reset, "the application reset the connection"});
}

// --- time ---

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
