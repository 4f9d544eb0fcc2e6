#include "tun2socks/udp_lane.h"

#include <algorithm>
#include <utility>

#include "tun2socks/dns_answer.h"
#include "tun2socks/icmp.h"

namespace tunproxy::tun2socks {
namespace {

/// Calls `take` with each datagram that `payload` stands for (one, if `segment_size` is 0).
template <typename Take>
void for_each_datagram(Bytes payload, size_t segment_size, Take take) {
  do {
    const size_t size = segment_size != 0 ? segment_size : payload.size();
    const Bytes datagram = payload.first(std::min(size, payload.size()));
    take(datagram);
    payload = payload.subspan(datagram.size());
  } while (!payload.empty());
}

uint8_t hop_limit(const IpPacket& packet) {
  return packet.whole[packet.v6 ? 7 : 8];
}

}  // namespace

UdpLane::UdpLane(io::Loop& loop, net::NameService* names, net::DatagramProxy* proxy,
                 const EngineOptions& options, PacketDevice& device, PacketOutput& output,
                 EngineStats& stats)
    : loop_(loop),
      names_(names),
      max_queries_(options.max_queries),
      errors_per_second_(options.icmp_errors_per_second),
      mtu_(device.mtu()),
      output_(output),
      stats_(stats),
      datagrams_(device, output, stats),
      error_tokens_(errors_per_second_),
      change_(loop, [this] { arm(); }),
      timer_(loop, [this] {
        pool_->tick();
        arm();
      }) {
  UdpPool::Host& host = *this;
  if (proxy != nullptr) pool_ = std::make_unique<UdpPool>(*proxy, host, options, stats);
}

void UdpLane::input(const IpPacket& packet, uint16_t segment_size) {
  const auto header = parse_udp(packet.payload(), segment_size != 0);
  if (!header) return output_.drop(Drop::malformed);
  const FlowKey flow{{packet.source_address(), header->source_port},
                     {packet.destination_address(), header->destination_port}};
  if (flow.target.port == kDnsPort && names_ != nullptr) {
    return for_each_datagram(header->payload, segment_size,
                             [&](Bytes question) { ask(flow, question); });
  }
  if (!pool_) {
    ++stats_.udp_refused;
    return refuse(packet.whole);
  }
  if (flow.target.port == 0) return output_.drop(Drop::malformed);
  if (hop_limit(packet) <= 1) return output_.drop(Drop::hop_limit);
  forward(packet, flow, header->payload, segment_size);
}

void UdpLane::forward(const IpPacket& packet, const FlowKey& flow, Bytes payload,
                      size_t segment_size) {
  for_each_datagram(payload, segment_size, [&](Bytes datagram) {
    const UdpPool::Outcome outcome = pool_->send(flow, datagram);
    if (outcome == UdpPool::Outcome::refused) refuse(packet.whole);
    if (outcome == UdpPool::Outcome::prohibited) refuse(packet.whole, ErrorCode::not_allowed);
  });
}

bool UdpLane::deliver(const Endpoint& from, const Endpoint& local, Bytes payload) {
  return datagrams_.send(from, local, payload);
}

void UdpLane::refuse(const Endpoint& local, const Endpoint& remote, Bytes payload, ErrorCode why) {
  refuse(make_udp_packet(local, remote, payload), why);
}

void UdpLane::refuse(Bytes packet, ErrorCode why) {
  if (!may_refuse()) return;
  const bool prohibited = why == ErrorCode::not_allowed;
  output_.send(make_unreachable(packet, prohibited ? *unreachable_for(why) : Unreachable::port()));
}

bool UdpLane::may_refuse() {
  const Instant now = loop_.now();
  const std::chrono::duration<double> since = now - std::exchange(tokens_at_, now);
  error_tokens_ = std::min(errors_per_second_, error_tokens_ + since.count() * errors_per_second_);
  if (error_tokens_ < 1) {
    output_.drop(Drop::rate_limit);
    return false;
  }
  error_tokens_ -= 1;
  return true;
}

void UdpLane::drop_quiet() {
  if (pool_) pool_->reap(UdpPool::kQuiet);
}

void UdpLane::arm() {
  pool_->sweep();
  const auto wake = pool_->next_wake();
  if (!wake) return timer_.stop();
  timer_.start(std::max(Duration{}, *wake - loop_.now()));
}

void UdpLane::ask(const FlowKey& flow, Bytes question) {
  if (!is_dns_query(question)) return output_.drop(Drop::malformed);
  if (queries_.size() >= max_queries_) return output_.drop(Drop::query_limit);
  ++stats_.dns_queries;
  const size_t headers =
      (flow.target.address.is_v6() ? kV6HeaderLength : kV4HeaderLength) + UdpHeader::kLength;
  const size_t limit = std::min<size_t>(dns_answer_limit(question), mtu_ - headers);
  queries_.push_front({flow.application, flow.target, limit, nullptr});
  const auto query = queries_.begin();
  query->attempt =
      names_->exchange(flow.target, question, [this, query](Result<ByteVector> message) {
        // Without an answer the client asks again or elsewhere.
        if (message) {
          answer(*query, *message);
        } else {
          output_.drop(Drop::unanswered);
        }
        loop_.retire(std::move(query->attempt));
        queries_.erase(query);
      });
}

void UdpLane::answer(const Query& query, Bytes message) {
  const ByteVector fitting = fit_dns_answer(message, query.answer_limit);
  if (datagrams_.send(query.server, query.client, fitting)) ++stats_.dns_answers;
}

}  // namespace tunproxy::tun2socks
