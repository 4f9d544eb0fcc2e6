// Stack: lwIP's TCP behind one class. lwIP is global state, so there is one Stack a process at a
// time.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "tun2socks/connection.h"
#include "tun2socks/ip_packet.h"
#include "tun2socks/memory_share.h"
#include "tun2socks/packet_device.h"
#include "tun2socks/siphash.h"

struct netif;
struct pbuf;
struct tcp_pcb;

namespace tunproxy::tun2socks {

class TcpFlow;

struct StackOptions {
  uint32_t window = 0;       ///< bytes that one flow may have unread at most
  uint32_t send_buffer = 0;  ///< bytes that one flow may have unacknowledged at most
  uint16_t mtu = 1500;
  bool offloads = false;                 ///< the device splits large segments and makes checksums
  size_t memory_cap = 0;                 ///< of what all flows hold, within the loop's budget
  std::function<void()> on_half_closed;  ///< one direction of some flow was closed; may be empty
};

/// Accepts a connection to any address: the listener's port is rewritten for each packet, and the
/// hash bucket of the packet's connection is put in place of lwIP's lists, so that looking one up
/// takes no longer with ten thousand than with ten. Lives in one loop thread.
class Stack {
 public:
  /// Where packets leave. False: not now, lwIP tries again.
  using Transmit = std::function<bool(std::span<const Bytes>, const Offload&)>;

  /// Fails (ErrorCode::limit) while another Stack lives in this thread. Nothing is sent before
  /// open().
  static Result<std::unique_ptr<Stack>> create(io::Loop& loop, const StackOptions& options,
                                               Transmit transmit);
  /// REQUIRES: no TcpFlow of it is left.
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  /// Whether a live connection has this packet's addresses and ports.
  bool knows(const IpPacket& packet, const TcpHeader& header);
  /// Hands a segment in; a segment of no connection is answered with a reset. `storage` as in
  /// PacketSink::on_packet. REQUIRES: knows() or !header.opens(). Returns why it was dropped, or
  /// none.
  Drop input(const IpPacket& packet, const TcpHeader& header, PacketBuffer* storage);
  /// Answers a SYN (the whole packet) with SYN-ACK. A TIME_WAIT connection of the same tuple makes
  /// room. The flow reports progress when the handshake is done or has failed (lwIP gives up after
  /// 20 s).
  std::unique_ptr<TcpFlow> open(ByteVector syn);
  /// The end of a batch: flows look again, then each connection that had work sends what it has,
  /// once.
  void settle();

  MemoryShare& budget() { return budget_; }
  /// How often the TCP timer ran, and whether it runs: it does not while all connections are idle.
  uint64_t timer_wakeups() const { return timer_wakeups_; }
  bool timer_running() const { return timer_.active(); }
  static uint64_t assertions();

 private:
  friend class Connection;
  friend class TcpFlow;
  struct Bucket {
    tcp_pcb* active = nullptr;
    tcp_pcb* time_wait = nullptr;
  };
  struct PacketPbuf;
  struct Callbacks;
  class Entered;

  Stack(io::Loop& loop, const StackOptions& options, Transmit transmit);
  Result<void> set_up();

  size_t bucket_of(const IpPacket& packet, const TcpHeader& header) const;
  Connection* find(const TcpHeader& header) const;
  Drop admit(Connection& connection, const TcpHeader& header);
  pbuf* wrap(MutableBytes segment, bool transient);
  void inject(pbuf* segment, const TcpHeader& header);
  bool output(pbuf* packet);

  void touch(Connection& connection);
  void schedule_progress(TcpFlow& flow);
  void forget(TcpFlow& flow);
  void work_on(Connection& connection);
  void feed_starved();
  void wait_for_memory(Connection& connection);
  bool shut_down(Connection& connection);
  void close(Connection& connection, bool orderly);
  void destroyed(Connection& connection);
  size_t unread(const Connection& connection) const;
  std::unique_ptr<SendChunk> take_chunk(size_t size);
  void give_back(std::unique_ptr<SendChunk> chunk);

  void rearm(Connection& connection);
  void disarm(Connection& connection);
  void on_timer();
  void catch_up_ticks();
  void join_buckets();
  void redistribute();

  io::Loop& loop_;
  StackOptions options_;
  Transmit transmit_;
  MemoryShare budget_;
  SipHash hash_;
  std::vector<Bucket> buckets_;
  std::unique_ptr<netif> interface_;
  tcp_pcb* listener_ = nullptr;
  Connection* opening_ = nullptr;      // while its SYN goes in
  std::unique_ptr<PacketPbuf> spare_;  // for the packet that is in the device's memory
  PacketBuffer* storage_ = nullptr;    // of that packet
  bool entered_ = false;
  std::vector<Connection*> touched_;  // nullptr: gone meanwhile
  std::vector<TcpFlow*> orphans_;     // flows without a connection that have to look again
  std::vector<Connection*> starved_;
  std::vector<std::unique_ptr<SendChunk>> chunks_;
  io::Task settle_;
  size_t armed_ = 0;
  io::Timer timer_;
  Instant last_tick_;
  bool slow_turn_ = false;
  uint64_t timer_wakeups_ = 0;
};

}  // namespace tunproxy::tun2socks
