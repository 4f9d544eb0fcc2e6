// UdpLane: what comes of UDP datagrams. DNS queries are answered by the NameService, all others go
// through the associations of a DatagramProxy; what nobody serves is told that the port is
// unreachable.
#pragma once

#include <list>
#include <memory>

#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/datagram_proxy.h"
#include "core/net/name_service.h"
#include "tun2socks/engine_options.h"
#include "tun2socks/ip_packet.h"
#include "tun2socks/packet_output.h"
#include "tun2socks/udp_output.h"
#include "tun2socks/udp_pool.h"

namespace tunproxy::tun2socks {

class UdpLane final : private UdpPool::Host {
 public:
  static constexpr uint16_t kDnsPort = 53;

  /// `names` may be nullptr: then port 53 is as any other. `proxy` may be nullptr: then nothing but
  /// DNS is served.
  UdpLane(io::Loop& loop, net::NameService* names, net::DatagramProxy* proxy,
          const EngineOptions& options, PacketDevice& device, PacketOutput& output,
          EngineStats& stats);

  /// Takes a UDP packet. `segment_size` as in Offload: it may stand for several datagrams.
  void input(const IpPacket& packet, uint16_t segment_size);
  void drop_quiet();
  size_t associations() const { return pool_ ? pool_->size() : 0; }
  bool timer_running() const { return timer_.active(); }

 private:
  struct Query {
    Endpoint client;
    Endpoint server;
    size_t answer_limit = 0;
    std::unique_ptr<net::Attempt> attempt;
  };

  void ask(const FlowKey& flow, Bytes question);
  void answer(const Query& query, Bytes message);
  void forward(const IpPacket& packet, const FlowKey& flow, Bytes payload, size_t segment_size);
  void refuse(Bytes packet, ErrorCode why = ErrorCode::refused);
  bool may_refuse();
  void arm();

  Instant now() const override { return loop_.now(); }
  bool deliver(const Endpoint& from, const Endpoint& local, Bytes payload) override;
  void refuse(const Endpoint& local, const Endpoint& remote, Bytes payload, ErrorCode why) override;
  void changed() override { change_.schedule(); }

  io::Loop& loop_;
  net::NameService* names_;
  size_t max_queries_;
  double errors_per_second_;
  uint16_t mtu_;
  PacketOutput& output_;
  EngineStats& stats_;
  UdpOutput datagrams_;
  std::list<Query> queries_;
  double error_tokens_;
  Instant tokens_at_{};
  io::Task change_;
  io::Timer timer_;
  std::unique_ptr<UdpPool> pool_;
};

}  // namespace tunproxy::tun2socks
