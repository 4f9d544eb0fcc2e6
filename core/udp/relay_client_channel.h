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
#include "core/udp/silence_watch.h"

namespace tunproxy::udp {

struct RelayOptions {
  ByteVector program;             ///< goes ahead of the hello: relay_program()
  Duration probe_timeout = 2s;    ///< until the helper's hello
  Duration answer_timeout = 10s;  ///< for an association or a resolver's answer
  SilenceWatch::Times silence{};  ///< the helper is asked by a Ping
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
    virtual void on_silence() = 0;                             ///< it may yet be heard again
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
  /// Gives the channel up; not within on_silence().
  void fail(Error error);

  const SilenceWatch& watch() const { return watch_; }
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
  void on_late();
  void on_watch(SilenceWatch::Event event);

  io::Loop& loop_;
  const std::unique_ptr<net::Stream> stream_;
  User& user_;
  State state_ = State::connecting;
  Hello hello_;
  ByteVector opening_;    // program and hello, until they are out
  bool greeted_ = false;  // the magic has come
  ByteVector partial_;    // what was printed before the magic, later the front of a message
  RelayQueue queue_;
  SilenceWatch watch_;
  io::Task flush_;
  io::Timer late_;  // until the hello
};

}  // namespace tunproxy::udp
