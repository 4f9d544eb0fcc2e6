// Connection: one TCP connection to a resolver that many queries share (RFC 7766 §6.2.1).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/base/address.h"
#include "core/base/time.h"
#include "core/dns/message.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/proxy.h"

namespace tunproxy::dns {

/// Owned by a Forwarder. Queries are pipelined under ids of the connection's own; answers come in
/// any order and are told by id and question. A connection without queries closes itself after a
/// while, and until then costs no wake-up.
class Connection {
 public:
  static constexpr Duration kIdleTimeout = 20s;

  /// An answer to the query `key`, its id still that of the connection.
  using OnAnswer = std::function<void(uint64_t key, ByteVector answer)>;
  /// Called once, when it is of no more use; the owner takes unanswered() and hands it to
  /// Loop::retire().
  using OnClosed = std::function<void(Connection& connection, const Error& why)>;

  /// Dials at once; what is sent before it is connected waits. REQUIRES: `proxy` outlives it.
  Connection(io::Loop& loop, net::Proxy& proxy, const Endpoint& resolver, OnAnswer on_answer,
             OnClosed on_closed);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// REQUIRES: `query` has a header and is at most kMaxMessage long; `key` is not 0.
  void send(uint64_t key, Bytes query, const Question& question);
  /// Nobody waits for this answer any more.
  void forget(uint64_t key);

  /// No call comes from it any more; for the owner that gives it up.
  void detach();

  const Endpoint& resolver() const { return resolver_; }
  bool established() const { return stream_ != nullptr; }
  size_t load() const { return load_; }  ///< queries that somebody waits for
  Instant last_heard() const { return last_heard_; }
  std::vector<uint64_t> unanswered() const;

 private:
  struct Pending {
    uint64_t key = 0;  // 0: forgotten; the id stays taken until its answer has come
    Question question;
  };

  void on_connected(Result<std::unique_ptr<net::Stream>> stream);
  void look_again();
  Result<void> receive();
  Result<void> on_message(Bytes message);
  void flush();
  void watch_idleness();
  void close(const Error& why);
  uint16_t free_id();

  io::Loop& loop_;
  const Endpoint resolver_;
  OnAnswer on_answer_;
  OnClosed on_closed_;  // empty: closed
  std::unique_ptr<net::Attempt> attempt_;
  std::unique_ptr<net::Stream> stream_;
  ByteVector in_;   // a message that has not come whole
  ByteVector out_;  // messages that the stream has not taken; bounded by the forwarder's queries
  std::unordered_map<uint16_t, Pending> pending_;
  size_t load_ = 0;
  uint16_t next_id_ = 0;
  Instant last_heard_;
  io::Timer idle_;
};

}  // namespace tunproxy::dns
