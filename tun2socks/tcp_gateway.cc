#include "tun2socks/tcp_gateway.h"

#include <algorithm>
#include <utility>

#include "core/base/log.h"
#include "tun2socks/checksum.h"
#include "tun2socks/icmp.h"
#include "tun2socks/tcp_flow.h"

namespace tunproxy::tun2socks {
namespace {

constexpr size_t kTcpHeader = 20;

/// The reset that answers a SYN (RFC 9293 §3.5.2, group 1).
ByteVector make_reset(const IpPacket& syn, const TcpHeader& header) {
  ByteVector packet = make_ip(syn.destination(), syn.source(), kProtocolTcp, kTcpHeader);
  const MutableBytes tcp = MutableBytes(packet).last(kTcpHeader);
  store_be16(&tcp[0], header.destination_port);
  store_be16(&tcp[2], header.source_port);
  store_be32(&tcp[8], header.sequence + header.sequence_length());
  tcp[12] = kTcpHeader / 4 << 4;
  tcp[13] = kTcpRst | kTcpAck;
  ChecksumBuilder sum;
  sum.add_pseudo_header(syn.destination(), syn.source(), kProtocolTcp, kTcpHeader);
  sum.add(tcp);
  store_be16(&tcp[16], sum.checksum());
  return packet;
}

FlowKey key_of(const IpPacket& packet, const TcpHeader& header) {
  return {{packet.source_address(), header.source_port},
          {packet.destination_address(), header.destination_port}};
}

}  // namespace

TcpGateway::TcpGateway(io::Loop& loop, net::Proxy& proxy, Stack& stack,
                       const EngineOptions& options, PacketOutput& output, EngineStats& stats)
    : loop_(loop),
      proxy_(proxy),
      stack_(stack),
      options_(options),
      output_(output),
      stats_(stats),
      connect_timer_(loop, [this] { expire_connecting(); }),
      idle_timer_(loop, [this] { scan_idle(); }) {
  options_.connect_timeout = std::min(options.connect_timeout, EngineOptions::kMaxConnectTimeout);
}

void TcpGateway::input(const IpPacket& packet, const TcpHeader& header, PacketBuffer* storage) {
  Drop drop = Drop::none;
  if (header.opens() && !stack_.knows(packet, header)) {
    drop = begin(key_of(packet, header), packet.whole);
  } else {
    if ((header.flags & kTcpRst) != 0 && !by_key_.empty()) {
      const auto found = by_key_.find(key_of(packet, header));
      if (found != by_key_.end()) forget_connecting(found->second);
    }
    drop = stack_.input(packet, header, storage);
  }
  if (drop != Drop::none) output_.drop(drop);
}

// --- connecting ---

Drop TcpGateway::begin(const FlowKey& key, Bytes syn) {
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) {
    found->second->syn.assign(syn.begin(), syn.end());
    return Drop::none;
  }
  if (!make_room_to_open()) return Drop::syn_limit;
  const size_t all = connecting_.size() + handshake_.size() + active_.size();
  if (all >= options_.max_flows) return Drop::flow_limit;
  Flow& added = connecting_.emplace_back();
  added.key = key;
  added.since = loop_.now();
  added.syn.assign(syn.begin(), syn.end());
  const auto flow = std::prev(connecting_.end());
  by_key_.emplace(key, flow);
  if (options_.watcher != nullptr)
    options_.watcher->before_flow(false, key.application, key.target);
  added.attempt =
      proxy_.connect(Target(key.target), [this, flow](Result<std::unique_ptr<net::Stream>> far) {
        on_connected(flow, std::move(far));
      });
  if (options_.watcher != nullptr) options_.watcher->after_flow();
  if (!connect_timer_.active()) watch_connecting();
  return Drop::none;
}

// A program that connects to very many silent hosts must not keep all others waiting.
bool TcpGateway::make_room_to_open() {
  if (connecting_.size() + handshake_.size() < options_.max_opening) return true;
  const bool old =
      !connecting_.empty() && loop_.now() - connecting_.front().since >= options_.opening_patience;
  if (old) refuse(connecting_.begin(), ErrorCode::timed_out);
  return old;
}

void TcpGateway::on_connected(Flows::iterator flow, Result<std::unique_ptr<net::Stream>> far) {
  if (!far) {
    refuse(flow, far.error().code);
    return;
  }
  by_key_.erase(flow->key);
  handshake_.splice(handshake_.end(), connecting_, flow);
  if (connecting_.empty()) connect_timer_.stop();
  loop_.retire(std::move(flow->attempt));
  flow->far = std::move(*far);
  flow->near = stack_.open(std::move(flow->syn));
  flow->near->on_progress([this, flow] { on_handshake(flow); });
}

void TcpGateway::refuse(Flows::iterator flow, ErrorCode code) {
  ++stats_.refused[static_cast<size_t>(code)];
  log::debug("tun: {} refused: {}", flow->key.target.to_string(), to_string(code));
  IpPacket syn;
  parse_ip(flow->syn, syn);
  if (const auto unreachable = unreachable_for(code)) {
    output_.send(make_unreachable(syn.whole, *unreachable));
  } else if (const auto header = parse_tcp(syn.payload())) {
    output_.send(make_reset(syn, *header));
  }
  forget_connecting(flow);
}

void TcpGateway::forget_connecting(Flows::iterator flow) {
  by_key_.erase(flow->key);
  loop_.retire(std::move(flow->attempt));
  connecting_.erase(flow);
  if (connecting_.empty()) connect_timer_.stop();
}

void TcpGateway::expire_connecting() {
  while (!connecting_.empty() &&
         loop_.now() - connecting_.front().since >= options_.connect_timeout) {
    refuse(connecting_.begin(), ErrorCode::timed_out);
  }
  if (!connecting_.empty()) watch_connecting();
}

void TcpGateway::watch_connecting() {
  const Instant due = connecting_.front().since + options_.connect_timeout;
  connect_timer_.start(std::max(Duration(1), due - loop_.now()));
}

// --- handshake ---

void TcpGateway::on_handshake(Flows::iterator flow) {
  if (flow->near->error() != nullptr) {
    loop_.retire(std::move(flow->near));
    loop_.retire(std::move(flow->far));
    handshake_.erase(flow);
    return;
  }
  if (flow->near->established()) activate(flow);
}

void TcpGateway::activate(Flows::iterator flow) {
  ++stats_.flows_total;
  log::debug("tun: {} open", flow->key.target.to_string());
  active_.splice(active_.end(), handshake_, flow);
  flow->since = loop_.now();
  flow->relay =
      std::make_unique<net::Relay>(std::move(flow->near), std::move(flow->far),
                                   [this, flow](const Error* error) { on_done(flow, error); });
  if (options_.established_idle > Duration::zero()) plan_scan(options_.established_idle / 2);
}

// --- active ---

void TcpGateway::on_done(Flows::iterator flow, const Error* error) {
  const net::Relay& relay = *flow->relay;
  stats_.bytes_up += relay.bytes_a_to_b();
  stats_.bytes_down += relay.bytes_b_to_a();
  log::debug("tun: {} closed: {} up, {} down, {}", flow->key.target.to_string(),
             relay.bytes_a_to_b(), relay.bytes_b_to_a(),
             error != nullptr ? std::string_view(error->message) : "complete");
  loop_.retire(std::move(flow->relay));
  active_.erase(flow);
  if (active_.empty()) idle_timer_.stop();
}

void TcpGateway::on_half_closed() {
  plan_scan(options_.half_closed_idle / 2);
}

void TcpGateway::plan_scan(Duration within) {
  const Instant at = loop_.now() + within;
  if (idle_timer_.active() && next_scan_ <= at) return;
  next_scan_ = at;
  idle_timer_.start(std::max(Duration(1), within));
}

void TcpGateway::scan_idle() {
  const Error idle{ErrorCode::timed_out, "idle"};
  bool half_closed = false;
  for (auto flow = active_.begin(); flow != active_.end();) {
    const auto here = flow++;
    if (std::exchange(here->moved, here->bytes()) != here->bytes()) here->since = loop_.now();
    const bool half = here->relay->half_closed();
    const Duration limit = half ? options_.half_closed_idle : options_.established_idle;
    half_closed = half_closed || half;
    if (limit > Duration::zero() && loop_.now() - here->since >= limit) on_done(here, &idle);
  }
  if (active_.empty()) return;
  if (half_closed) {
    plan_scan(options_.half_closed_idle / 2);
  } else if (options_.established_idle > Duration::zero()) {
    plan_scan(options_.established_idle / 2);
  }
}

void TcpGateway::add_to(EngineStats& stats) const {
  stats.flows_active = active_.size();
  stats.flows_opening = connecting_.size() + handshake_.size();
  for (const Flow& flow : active_) {
    stats.bytes_up += flow.relay->bytes_a_to_b();
    stats.bytes_down += flow.relay->bytes_b_to_a();
  }
}

}  // namespace tunproxy::tun2socks
