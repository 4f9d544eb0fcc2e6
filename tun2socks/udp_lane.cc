#include "tun2socks/udp_lane.h"

#include <algorithm>
#include <utility>

#include "tun2socks/checksum.h"
#include "tun2socks/dns_answer.h"
#include "tun2socks/icmp.h"

namespace tunproxy::tun2socks {

UdpLane::UdpLane(io::Loop& loop, net::NameService* names, const EngineOptions& options,
                 uint16_t mtu, PacketOutput& output, EngineStats& stats)
    : loop_(loop),
      names_(names),
      max_queries_(options.max_queries),
      errors_per_second_(options.icmp_errors_per_second),
      mtu_(mtu),
      output_(output),
      stats_(stats),
      error_tokens_(errors_per_second_) {}

void UdpLane::input(const IpPacket& packet, uint16_t segment_size) {
  const auto header = parse_udp(packet.payload(), segment_size != 0);
  if (!header) return output_.drop(Drop::malformed);
  if (header->destination_port != kDnsPort || names_ == nullptr) return refuse(packet);
  Bytes rest = header->payload;
  do {
    const size_t size = segment_size != 0 ? segment_size : rest.size();
    const Bytes question = rest.first(std::min(size, rest.size()));
    ask(packet, *header, question);
    rest = rest.subspan(question.size());
  } while (!rest.empty());
}

void UdpLane::ask(const IpPacket& packet, const UdpHeader& header, Bytes question) {
  if (!is_dns_query(question)) return output_.drop(Drop::malformed);
  if (queries_.size() >= max_queries_) return output_.drop(Drop::query_limit);
  ++stats_.dns_queries;
  const size_t headers = (packet.v6 ? 40 : 20) + UdpHeader::kLength;
  const Bytes client = packet.source();
  const Bytes server = packet.destination();
  queries_.push_front({{client.begin(), client.end()},
                       {server.begin(), server.end()},
                       header.source_port,
                       std::min<size_t>(dns_answer_limit(question), mtu_ - headers),
                       nullptr});
  const auto query = queries_.begin();
  query->attempt = names_->exchange({packet.destination_address(), kDnsPort}, question,
                                    [this, query](Result<ByteVector> message) {
                                      if (message) answer(*query, *message);
                                      // Without an answer the client asks again or elsewhere.
                                      loop_.retire(std::move(query->attempt));
                                      queries_.erase(query);
                                    });
}

void UdpLane::answer(const Query& query, Bytes message) {
  const ByteVector fitting = fit_dns_answer(message, query.answer_limit);
  const size_t length = UdpHeader::kLength + fitting.size();
  ByteVector packet = make_ip(query.server, query.client, kProtocolUdp, length);
  const MutableBytes udp = MutableBytes(packet).last(length);
  store_be16(&udp[0], kDnsPort);
  store_be16(&udp[2], query.client_port);
  store_be16(&udp[4], static_cast<uint16_t>(length));
  std::copy(fitting.begin(), fitting.end(), &udp[UdpHeader::kLength]);
  ChecksumBuilder sum;
  sum.add_pseudo_header(query.server, query.client, kProtocolUdp, static_cast<uint32_t>(length));
  sum.add(udp);
  const uint16_t checksum = sum.checksum();
  store_be16(&udp[6], checksum != 0 ? checksum : 0xffff);  // RFC 768: 0 would mean none
  if (output_.send(packet)) ++stats_.dns_answers;
}

void UdpLane::refuse(const IpPacket& packet) {
  const Instant now = loop_.now();
  const std::chrono::duration<double> since = now - std::exchange(tokens_at_, now);
  error_tokens_ = std::min(errors_per_second_, error_tokens_ + since.count() * errors_per_second_);
  if (error_tokens_ < 1) return output_.drop(Drop::rate_limit);
  error_tokens_ -= 1;
  output_.send(make_unreachable(packet.whole, Unreachable::port()));
}

}  // namespace tunproxy::tun2socks
