// Connection: what we keep beside one lwIP connection (tcp_pcb): the bytes under way to the
// application and what has to be done for it at the end of the batch. For Stack and TcpFlow only.
#pragma once

#include <cstdint>
#include <memory>

#include "core/base/bytes.h"

struct tcp_pcb;

namespace tunproxy::tun2socks {

class Stack;
class TcpFlow;

/// Bytes that lwIP refers to until they are acknowledged: never moved, freed from the front.
struct SendChunk {
  static constexpr size_t kSmall = 2048;
  static constexpr size_t kFull = size_t{64} * 1024;

  explicit SendChunk(size_t size)
      : bytes(new uint8_t[size]), capacity(static_cast<uint32_t>(size)) {}

  std::unique_ptr<SendChunk> next;
  std::unique_ptr<uint8_t[]> bytes;
  uint32_t capacity;
  uint32_t used = 0;
  uint32_t acknowledged = 0;
};

/// Made by Stack::open and destroyed with its pcb, which may be long after the flow went (an
/// orderly close goes on in lwIP alone).
class Connection {
 public:
  Connection(Stack& owner, TcpFlow& of, size_t in_bucket)
      : stack(owner), flow(&of), bucket(static_cast<uint32_t>(in_bucket)) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  /// Queues what fits for the application; returns how much.
  size_t write(Bytes bytes);
  /// The application has acknowledged `n` bytes.
  void acknowledged(size_t n);
  /// Gives the application credit for `n` bytes, within what the window may be now.
  void credit(size_t n);
  /// Asks for the half-close, which comes when everything before it is acknowledged: lwIP forgets a
  /// connection in LAST_ACK after a few seconds, whatever is still unsent.
  void request_fin() { fin_requested = true; }
  /// Does what the batch has left to do: the FIN, one acknowledgement, output.
  void finish_batch();
  /// Whether lwIP's timer has to run for it.
  bool needs_timer() const;
  bool send_queue_empty() const { return !first_; }
  /// Both ends are closed and nothing is under way: losing the pcb now is no loss.
  bool complete() const { return fin_sent && got_fin && send_queue_empty(); }

  Stack& stack;
  TcpFlow* flow;  ///< nullptr once the flow is gone
  tcp_pcb* pcb = nullptr;
  uint32_t bucket;
  uint32_t window_target = 0;  ///< what the receive window is at most
  uint32_t consumed = 0;       ///< since the target last grew
  size_t queue_cost = 0;       ///< memory charged for the send queue
  size_t out_of_order_cost = 0;
  size_t slot = kNotTouched;  ///< in Stack's list of connections with work to do
  bool notify = false;        ///< the flow has to look again
  bool ack_due = false;
  bool blocked = false;  ///< write() took less than it was given
  bool starved = false;  ///< in Stack's list of those that wait for memory
  bool armed = false;    ///< counted among those that need the timer
  bool established = false;
  bool got_fin = false;
  bool fin_requested = false;
  bool fin_sent = false;

  static constexpr size_t kNotTouched = static_cast<size_t>(-1);

 private:
  SendChunk& tail_with_room(size_t wanted);
  size_t room() const;

  std::unique_ptr<SendChunk> first_;
  SendChunk* last_ = nullptr;
};

}  // namespace tunproxy::tun2socks
