// TcpGateway: makes flows of TCP connections. A SYN is held until the upstream connection has an
// outcome; then it is answered with a SYN-ACK, or with the reset or ICMP error that says what
// happened there.
#pragma once

#include <list>
#include <memory>
#include <unordered_map>

#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/proxy.h"
#include "core/net/relay.h"
#include "tun2socks/engine_options.h"
#include "tun2socks/flow_key.h"
#include "tun2socks/packet_output.h"
#include "tun2socks/stack.h"

namespace tunproxy::tun2socks {

/// connecting --(upstream answers)--> handshake --(application's ACK)--> active --(both ends,
/// error)--> gone. Which state a flow is in is which list it stands in.
class TcpGateway {
 public:
  TcpGateway(io::Loop& loop, net::Proxy& proxy, Stack& stack, const EngineOptions& options,
             PacketOutput& output, EngineStats& stats);
  TcpGateway(const TcpGateway&) = delete;
  TcpGateway& operator=(const TcpGateway&) = delete;

  void input(const IpPacket& packet, const TcpHeader& header, PacketBuffer* storage);
  /// A direction of some flow has been closed: idle ones have to be looked for from now on.
  void on_half_closed();
  /// Fills in what is counted here.
  void add_to(EngineStats& stats) const;

 private:
  struct Flow {
    FlowKey key;
    Instant since{};  // connecting: its beginning; active: when bytes were last seen to move
    ByteVector syn;
    std::unique_ptr<net::Attempt> attempt;
    std::unique_ptr<TcpFlow> near;
    std::unique_ptr<net::Stream> far;
    std::unique_ptr<net::Relay> relay;
    uint64_t moved = 0;

    uint64_t bytes() const { return relay->bytes_a_to_b() + relay->bytes_b_to_a(); }
  };
  using Flows = std::list<Flow>;

  Drop begin(const FlowKey& key, Bytes syn);
  void on_connected(Flows::iterator flow, Result<std::unique_ptr<net::Stream>> far);
  void on_handshake(Flows::iterator flow);
  void activate(Flows::iterator flow);
  void on_done(Flows::iterator flow, const Error* error);
  void refuse(Flows::iterator flow, ErrorCode code);
  bool make_room_to_open();
  void forget_connecting(Flows::iterator flow);
  void expire_connecting();
  void watch_connecting();
  void scan_idle();
  void plan_scan(Duration within);

  io::Loop& loop_;
  net::Proxy& proxy_;
  Stack& stack_;
  EngineOptions options_;
  PacketOutput& output_;
  EngineStats& stats_;
  Flows connecting_;  // oldest first
  Flows handshake_;
  Flows active_;
  std::unordered_map<FlowKey, Flows::iterator, FlowKeyHash> by_key_;  // those in connecting_
  io::Timer connect_timer_;
  io::Timer idle_timer_;
  Instant next_scan_{};
};

}  // namespace tunproxy::tun2socks
