// TcpFlow: the application's end of a TCP connection that comes in through the device, as a Stream.
#pragma once

#include <functional>

#include "core/net/stream.h"
#include "tun2socks/stack.h"

struct pbuf;

namespace tunproxy::tun2socks {

class Connection;

/// Made by Stack::open. It is a usable Stream once established(); progress tells. The application's
/// window is what consume() gives back: bytes that nobody consumes hold the sender up.
/// opening --(handshake done)--> established --(finish, peer's FIN)--> complete; any --> dead
/// (error()).
class TcpFlow final : public net::Stream {
 public:
  ~TcpFlow() override;

  void on_progress(std::function<void()> look_again) override;
  Bytes peek() const override;
  void consume(size_t n) override;
  size_t write(Bytes bytes) override;
  void finish() override;
  bool finished() const override { return finished_; }
  bool ended() const override { return got_fin_ && first_ == nullptr; }
  const Error* error() const override { return failed_ ? &error_ : nullptr; }

  /// The three-way handshake is done.
  bool established() const { return established_; }

 private:
  friend class Stack;

  explicit TcpFlow(Stack& stack) : stack_(stack) {}
  void receive(pbuf* packet, bool may_keep);
  void append_copy(Bytes bytes);
  void append(pbuf* packet, size_t cost);
  void pop();
  void lose_connection(bool orderly, Error error);
  void look_again();

  Stack& stack_;
  Connection* connection_ = nullptr;
  std::function<void()> look_again_;
  pbuf* first_ = nullptr;  // received, in order; each one's tot_len is what it costs in memory
  pbuf* last_ = nullptr;
  size_t unread_ = 0;
  size_t cost_ = 0;
  uint16_t tail_room_ = 0;  // behind last_, if that is a copy
  bool established_ = false;
  bool got_fin_ = false;
  bool finished_ = false;
  bool failed_ = false;
  Error error_;
};

}  // namespace tunproxy::tun2socks
