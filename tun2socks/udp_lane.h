// UdpLane: what comes of UDP datagrams: DNS queries are answered by the NameService, all others are
// told that the port is unreachable.
#pragma once

#include <list>
#include <memory>

#include "core/io/loop.h"
#include "core/net/name_service.h"
#include "tun2socks/engine_options.h"
#include "tun2socks/ip_packet.h"
#include "tun2socks/packet_output.h"

namespace tunproxy::tun2socks {

class UdpLane {
 public:
  static constexpr uint16_t kDnsPort = 53;

  /// `names` may be nullptr: then port 53 is unreachable, too.
  UdpLane(io::Loop& loop, net::NameService* names, const EngineOptions& options, uint16_t mtu,
          PacketOutput& output, EngineStats& stats);

  /// Takes a UDP packet. `segment_size` as in Offload: it may stand for several datagrams.
  void input(const IpPacket& packet, uint16_t segment_size);

 private:
  struct Query {
    ByteVector client;  // addresses, 4 or 16 bytes
    ByteVector server;
    uint16_t client_port = 0;
    size_t answer_limit = 0;
    std::unique_ptr<net::Attempt> attempt;
  };

  void ask(const IpPacket& packet, const UdpHeader& header, Bytes question);
  void answer(const Query& query, Bytes message);
  void refuse(const IpPacket& packet);

  io::Loop& loop_;
  net::NameService* names_;
  size_t max_queries_;
  double errors_per_second_;
  uint16_t mtu_;
  PacketOutput& output_;
  EngineStats& stats_;
  std::list<Query> queries_;
  double error_tokens_;
  Instant tokens_at_{};
};

}  // namespace tunproxy::tun2socks
