// Engine: takes the IP packets of a device and makes flows of them: TCP through a Proxy, UDP
// through a DatagramProxy, DNS through a NameService. Everything else is answered here (echo,
// "unreachable") or dropped and counted.
#pragma once

#include <functional>
#include <memory>

#include "core/base/result.h"
#include "core/io/loop.h"
#include "core/net/datagram_proxy.h"
#include "core/net/name_service.h"
#include "core/net/proxy.h"
#include "tun2socks/engine_options.h"
#include "tun2socks/ip_packet.h"
#include "tun2socks/packet_device.h"
#include "tun2socks/packet_output.h"
#include "tun2socks/stats.h"

namespace tunproxy::tun2socks {

class Reassembler;
class Stack;
class TcpGateway;
class UdpLane;

/// Lives in one loop thread; the device, the proxies and the name service outlive it. Destroying it
/// resets all flows.
class Engine final : private PacketSink {
 public:
  /// `names` may be nullptr: port 53 over UDP is as any other port then. `udp` may be nullptr: all
  /// other UDP is unreachable then. TCP to port 53 is a flow as any other (dns::Redirect). Fails
  /// (ErrorCode::limit) while another Engine lives in this thread.
  static Result<std::unique_ptr<Engine>> create(io::Loop& loop, PacketDevice& device,
                                                net::Proxy& tcp, net::NameService* names,
                                                net::DatagramProxy* udp,
                                                const EngineOptions& options = {});
  ~Engine() override;

  /// Begins to serve. `on_failed` is called once if the device is gone.
  void start(std::function<void(const Error&)> on_failed);
  /// Memory is short: closes the UDP associations in which nothing moved for some seconds.
  void drop_quiet_udp();
  EngineStats stats() const;

 private:
  Engine(io::Loop& loop, PacketDevice& device, const EngineOptions& options);
  Result<void> set_up(net::Proxy& tcp, net::NameService* names, net::DatagramProxy* udp);

  void on_packet(MutableBytes packet, const Offload& offload, PacketBuffer* storage) override;
  void on_batch_end() override;
  void serve(MutableBytes packet, const Offload& offload, PacketBuffer* storage);
  void reassemble(const IpPacket& fragment);
  void serve_tcp(const IpPacket& packet, PacketBuffer* storage);
  void serve_icmp(const IpPacket& packet);

  io::Loop& loop_;
  PacketDevice& device_;
  EngineOptions options_;
  EngineStats stats_;
  PacketOutput output_;
  std::unique_ptr<Reassembler> reassembler_;
  std::unique_ptr<UdpLane> udp_;
  std::unique_ptr<Stack> stack_;
  std::unique_ptr<TcpGateway> tcp_;
  bool started_ = false;
};

}  // namespace tunproxy::tun2socks
