#include "tun2socks/engine.h"

#include <utility>

#include "tun2socks/icmp.h"
#include "tun2socks/reassembler.h"
#include "tun2socks/stack.h"
#include "tun2socks/tcp_flow.h"
#include "tun2socks/tcp_gateway.h"
#include "tun2socks/udp_lane.h"

namespace tunproxy::tun2socks {
namespace {

// Large windows overflow the queue of a TUN that takes one segment at a time.
constexpr uint32_t kWindowOffloading = 1024 * 1024;
constexpr uint32_t kWindowPlain = 128 * 1024;

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(io::Loop& loop, PacketDevice& device,
                                               net::Proxy& tcp, net::NameService* names,
                                               net::DatagramProxy* udp,
                                               const EngineOptions& options) {
  std::unique_ptr<Engine> engine(new Engine(loop, device, options));
  if (auto ready = engine->set_up(tcp, names, udp); !ready) return ready.error();
  return engine;
}

Engine::Engine(io::Loop& loop, PacketDevice& device, const EngineOptions& options)
    : loop_(loop), device_(device), options_(options), output_(device, stats_) {}

Result<void> Engine::set_up(net::Proxy& tcp, net::NameService* names, net::DatagramProxy* udp) {
  const uint32_t window = device_.offloads() ? kWindowOffloading : kWindowPlain;
  StackOptions stack_options;
  stack_options.window = options_.window != 0 ? options_.window : window;
  stack_options.send_buffer = stack_options.window;
  stack_options.mtu = device_.mtu();
  stack_options.offloads = device_.offloads();
  stack_options.memory_cap = options_.memory_cap;
  stack_options.on_half_closed = [this] { tcp_->on_half_closed(); };
  auto stack = Stack::create(loop_, stack_options,
                             [this](std::span<const Bytes> parts, const Offload& offload) {
                               return output_.send(parts, offload);
                             });
  if (!stack) return stack.error();
  stack_ = std::move(*stack);
  reassembler_ = std::make_unique<Reassembler>(loop_, stats_);
  udp_ = std::make_unique<UdpLane>(loop_, names, udp, options_, device_, output_, stats_);
  tcp_ = std::make_unique<TcpGateway>(loop_, tcp, *stack_, options_, output_, stats_);
  return {};
}

Engine::~Engine() {
  if (started_) device_.stop();
}

void Engine::start(std::function<void(const Error&)> on_failed) {
  started_ = true;
  device_.start(*this, std::move(on_failed));
}

void Engine::on_packet(MutableBytes packet, const Offload& offload, PacketBuffer* storage) {
  ++stats_.packets_in;
  serve(packet, offload, storage);
}

void Engine::on_batch_end() {
  stack_->settle();
}

void Engine::serve(MutableBytes packet, const Offload& offload, PacketBuffer* storage) {
  IpPacket parsed;
  if (const Drop drop = parse_ip(packet, parsed); drop != Drop::none) return output_.drop(drop);
  if (parsed.fragment) return reassemble(parsed);
  const bool transport = parsed.protocol == kProtocolTcp || parsed.protocol == kProtocolUdp;
  // Local applications' checksums are right, unless an offloading kernel says nothing about them.
  const bool doubtful =
      device_.offloads() && !offload.needs_checksum && !offload.checksum_valid && transport;
  if (doubtful && !transport_checksum_ok(parsed)) return output_.drop(Drop::bad_checksum);
  switch (parsed.protocol) {
    case kProtocolTcp:
      return serve_tcp(parsed, storage);
    case kProtocolUdp:
      return udp_->input(parsed, offload.segment_size);
    case kProtocolIcmp:
    case kProtocolIcmpV6:
      return serve_icmp(parsed);
    default:
      return output_.drop(Drop::not_served);
  }
}

void Engine::reassemble(const IpPacket& fragment) {
  ByteVector whole = reassembler_->add(fragment);
  if (whole.empty()) return;
  IpPacket parsed;
  if (parse_ip(whole, parsed) != Drop::none || parsed.fragment) {
    return output_.drop(Drop::malformed);
  }
  serve(whole, {}, nullptr);
}

void Engine::serve_tcp(const IpPacket& packet, PacketBuffer* storage) {
  const auto header = parse_tcp(packet.payload());
  if (!header) return output_.drop(Drop::malformed);
  tcp_->input(packet, *header, storage);
}

void Engine::serve_icmp(const IpPacket& packet) {
  const bool matches = packet.v6 == (packet.protocol == kProtocolIcmpV6);
  if (!matches || !turn_into_echo_reply(packet)) return output_.drop(Drop::not_served);
  if (output_.send(packet.whole)) ++stats_.echo_replies;
}

void Engine::drop_quiet_udp() {
  udp_->drop_quiet();
}

EngineStats Engine::stats() const {
  EngineStats stats = stats_;
  tcp_->add_to(stats);
  stats.buffered_bytes = stack_->budget().used();
  stats.timer_wakeups = stack_->timer_wakeups();
  stats.timer_running = stack_->timer_running();
  stats.udp_associations = udp_->associations();
  stats.udp_timer_running = udp_->timer_running();
  stats.stack_assertions = Stack::assertions();
  return stats;
}

}  // namespace tunproxy::tun2socks
