// RelayChannel: the stream to a relay helper: hello, messages, short queues, and a look whether the
// helper still lives. RelayClient knows what the messages mean.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/base/bytes.h"
#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/stream.h"
#include "core/udp/relay_queue.h"
#include "core/udp/relay_wire.h"

namespace tunproxy::udp {

struct RelayOptions {
  ByteVector program;             ///< goes ahead of the hello: relay_program()
  Duration probe_timeout = 2s;    ///< until the helper's hello
  Duration answer_timeout = 10s;  ///< for an association or a resolver's answer
  Duration ping_interval = 10s;   ///< after this much silence the helper is asked, then given up
  RelayQueue::Limits queue{};     ///< towards the helper
};

/// connecting → open → lost; lost is final. Owned by its user, in one loop thread.
class RelayChannel {
 public:
  /// All are called from the loop.
  class User {
   public:
    virtual void on_open(const Hello& helper) = 0;
    virtual void on_message(const RelayMessage& message) = 0;  ///< spans: during the call
    virtual void on_lost(const Error& error) = 0;              ///< once; nothing comes after it

   protected:
    ~User() = default;
  };

  RelayChannel(io::Loop& loop, std::unique_ptr<net::Stream> stream, const RelayOptions& options,
               User& user);

  /// False if the message is too long, or the channel lost.
  bool say(const RelayMessage& message);
  /// Queues a datagram, at the price of older ones if the stream takes none.
  bool send(uint32_t connection, const Target& to, Bytes payload);
  /// Gives the channel up, from within on_message().
  void fail(Error error);

  bool open() const { return state_ == State::open; }
  const QueueDrops& dropped() const { return queue_.dropped(); }

 private:
  enum class State { connecting, open, lost };

  void set_state(State next);
  void on_progress();
  void flush();
  void spoke();
  void greet(Bytes bytes);
  void take(Bytes bytes);
  void complete_message(Bytes& bytes);
  bool decode_one(Bytes& bytes);
  void heard(const RelayMessage& message);
  void on_hello(const RelayMessage& message);
  void on_end();
  void on_timer();

  io::Loop& loop_;
  const std::unique_ptr<net::Stream> stream_;
  User& user_;
  const Duration ping_interval_;
  State state_ = State::connecting;
  Hello hello_;
  ByteVector opening_;    // program and hello, until they are out
  bool greeted_ = false;  // the magic has come
  ByteVector partial_;    // what was printed before the magic, later the front of a message
  RelayQueue queue_;
  bool unanswered_ = false;  // something was said and nothing heard since
  bool asked_ = false;       // a Ping is under way
  io::Task flush_;
  io::Timer timer_;
};

}  // namespace tunproxy::udp
