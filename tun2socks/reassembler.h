// Reassembler: puts IP fragments together with lwIP's ip4_reass and ip6_reass, called directly.
#pragma once

#include "core/base/bytes.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "tun2socks/ip_packet.h"

struct netif;

namespace tunproxy::tun2socks {

/// Bounded by lwIP's count of fragments (the oldest datagram goes first) and by its age of 15 and
/// 60 s. Its timer runs only while fragments may be waiting. lwIP's tables are global: one Stack,
/// one Reassembler.
class Reassembler {
 public:
  explicit Reassembler(io::Loop& loop);
  ~Reassembler();
  Reassembler(const Reassembler&) = delete;
  Reassembler& operator=(const Reassembler&) = delete;

  /// Takes a copy of a fragment. Returns the whole packet once it is complete, else nothing. A
  /// whole packet has kPacketSlack bytes behind it that do not count.
  ByteVector add(const IpPacket& fragment);

 private:
  void on_timer();

  io::Loop& loop_;
  io::Timer timer_;
  Instant expires_{};
};

}  // namespace tunproxy::tun2socks
