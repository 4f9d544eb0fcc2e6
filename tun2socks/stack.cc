#include "tun2socks/stack.h"

#include <algorithm>
#include <array>
#include <utility>

#include "lwip/ip.h"
#include "lwip/mem.h"
#include "lwip/memp.h"
#include "tun2socks/outgoing_tcp.h"
#include "tun2socks/stack_internal.h"

namespace tunproxy::tun2socks {
namespace {

constexpr size_t kBuckets = 4096;

thread_local bool stack_exists = false;

}  // namespace

uint64_t Stack::assertions() {
  return tunproxy_lwip_assertions;
}

Result<std::unique_ptr<Stack>> Stack::create(io::Loop& loop, const StackOptions& options,
                                             Transmit transmit) {
  if (std::exchange(stack_exists, true)) {
    return Error{ErrorCode::limit,
                 "this thread already runs a TUN engine; each needs a thread of its own"};
  }
  std::unique_ptr<Stack> stack(new Stack(loop, options, std::move(transmit)));
  if (auto ready = stack->set_up(); !ready) return ready.error();
  return stack;
}

Stack::Stack(io::Loop& loop, const StackOptions& options, Transmit transmit)
    : loop_(loop),
      options_(options),
      transmit_(std::move(transmit)),
      budget_(loop.memory(), options.memory_cap),
      buckets_(kBuckets),
      interface_(std::make_unique<netif>()),
      settle_(loop, [this] { settle(); }),
      timer_(loop, [this] { on_timer(); }),
      last_tick_(loop.now()) {
  Callbacks::stack = this;
  tunproxy_lwip_window = options.window;
  tunproxy_lwip_send_buffer = options.send_buffer;
  tunproxy_lwip_on_assertion = Callbacks::assertion;
  tunproxy_lwip_make_isn = Callbacks::make_isn;
}

Result<void> Stack::set_up() {
  static thread_local const bool initialised = [] {
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
  Callbacks::stack = nullptr;
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

}  // namespace tunproxy::tun2socks
