// Forwarder: answers DNS messages by asking resolvers over TCP through a Proxy (RFC 7766).
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/base/address.h"
#include "core/base/time.h"
#include "core/dns/connection.h"
#include "core/dns/message.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/name_service.h"
#include "core/net/proxy.h"

namespace tunproxy::dns {

/// Lives in one loop thread. Any number of clients share a few connections to each resolver. A
/// resolver that fails or stays silent is followed by the next one of the list, which is then asked
/// first. With nothing to answer it soon has no connection and no timer.
class Forwarder final : public net::NameService {
 public:
  static constexpr size_t kMaxPending = 512;     ///< queries; further ones fail with limit
  static constexpr size_t kMaxQuery = 4096;      ///< bytes
  static constexpr size_t kMaxConnections = 32;  ///< to all resolvers together
  static constexpr size_t kMaxPerResolver = 4;
  static constexpr size_t kPipelined = 8;   ///< queries on a connection before another is opened
  static constexpr unsigned kMaxTries = 3;  ///< of one query, each with one resolver
  static constexpr Duration kTryTimeout = 3s;
  static constexpr Duration kResolverWait = 8s;  ///< for set_resolvers()

  /// `resolvers`: not empty; nullopt: not known yet, so queries wait for set_resolvers(). REQUIRES:
  /// `loop` and `proxy` outlive it; it outlives its attempts.
  Forwarder(io::Loop& loop, net::Proxy& proxy, std::optional<std::vector<Endpoint>> resolvers);

  /// As in the constructor; queries under way stay where they are. From the loop's thread.
  void set_resolvers(std::vector<Endpoint> resolvers);

  /// Error protocol: not a query that could be forwarded; limit; else why the last resolver failed
  /// (timed_out where none answered).
  std::unique_ptr<net::Attempt> exchange(const Endpoint& server, Bytes query,
                                         net::Done<ByteVector> done) override;

  size_t pending() const { return queries_.size(); }
  size_t connections() const { return connections_.size(); }

 private:
  class Exchange;
  struct Query {
    net::Done<ByteVector> done;
    ByteVector message;
    Question question;
    uint16_t id = 0;  // the client's
    unsigned tries = 0;
    bool resent = false;               // after its connection closed
    Endpoint resolver;                 // asked last
    Connection* connection = nullptr;  // while it is on its way there
    Instant sent;
    Instant deadline;
    std::optional<Error> failure;  // to be told by settle_
  };
  using Queries = std::unordered_map<uint64_t, Query>;

  void send(uint64_t key, Query& query);
  Connection* connection_for(const Endpoint& resolver);
  bool make_room();
  void on_answer(uint64_t key, ByteVector answer);
  void on_closed(Connection& connection, const Error& why);
  void on_timer();
  void on_silence(uint64_t key);
  void pass_over(const Endpoint& resolver);
  void try_next(uint64_t key, const Error& why);
  void complete(uint64_t key, Result<ByteVector> result);
  void cancel(uint64_t key);
  void settle();
  void set_deadline(Query& query, Duration from_now);
  void drop(Connection& connection);

  io::Loop& loop_;
  net::Proxy& proxy_;
  std::optional<std::vector<Endpoint>> resolvers_;
  size_t preferred_ = 0;  // in resolvers_
  uint64_t last_key_ = 0;
  Queries queries_;
  std::vector<std::unique_ptr<Connection>> connections_;
  Instant timer_due_;
  io::Timer timer_;
  io::Task settle_;
};

}  // namespace tunproxy::dns
