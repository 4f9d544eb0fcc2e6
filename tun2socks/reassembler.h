// Reassembler: puts IP fragments together (RFC 791 §3.2, RFC 8200 §4.5). Owned by the Engine.
#pragma once

#include <array>
#include <list>
#include <utility>
#include <vector>

#include "core/base/bytes.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "tun2socks/ip_packet.h"
#include "tun2socks/stats.h"

namespace tunproxy::tun2socks {

/// Bounded by count, bytes and age; above, the oldest packet goes. Fragments that overlap end their
/// packet (RFC 5722); repeated ones do not. Its timer runs only while fragments wait.
class Reassembler {
 public:
  static constexpr size_t kMaxPackets = 64;
  static constexpr size_t kMaxBytes = size_t{1024} * 1024;
  static constexpr Duration kMaxAge = 30s;

  /// Counts as Drop::fragment_limit what it gives up.
  Reassembler(io::Loop& loop, EngineStats& stats);
  Reassembler(const Reassembler&) = delete;
  Reassembler& operator=(const Reassembler&) = delete;

  /// Takes a copy of a fragment. Returns the whole packet once it is complete, else nothing. A
  /// whole packet has kPacketSlack bytes behind it that do not count.
  ByteVector add(const IpPacket& fragment);

 private:
  struct Piece {
    size_t begin = 0;
    size_t end = 0;
    bool more = false;
    Bytes data;
  };
  using Key = std::array<uint8_t, 38>;  // source, destination, id, protocol and version
  struct Partial {
    Key key;
    Instant expires;
    ByteVector header;  // of the first fragment
    ByteVector payload;
    std::vector<std::pair<size_t, size_t>> ranges;  // received; sorted, apart from each other
    size_t total = 0;                               // 0: the last fragment has not come

    bool complete() const {
      return total != 0 && !header.empty() && ranges.front() == std::pair(size_t{0}, total);
    }
  };

  static Key key_of(const IpPacket& fragment);
  static Piece piece_of(const IpPacket& fragment);
  static bool plausible(const IpPacket& fragment, const Piece& piece);
  static bool insert(Partial& partial, const Piece& piece);
  static ByteVector header_of(const IpPacket& fragment);
  static ByteVector join(Bytes header, Bytes payload);

  std::list<Partial>::iterator find(const Key& key);
  void bound();
  void give_up(std::list<Partial>::iterator partial);
  void forget(std::list<Partial>::iterator partial);
  void on_timer();

  io::Loop& loop_;
  EngineStats& stats_;
  std::list<Partial> partials_;  // oldest first
  size_t bytes_ = 0;
  io::Timer timer_;
};

}  // namespace tunproxy::tun2socks
