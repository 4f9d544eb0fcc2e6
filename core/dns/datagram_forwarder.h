// DatagramForwarder: answers DNS messages by asking resolvers by UDP through a DatagramProxy, and
// over TCP where that brings nothing.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "core/base/address.h"
#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/datagram_proxy.h"
#include "core/net/name_service.h"

namespace tunproxy::dns {

/// All queries share one association, which opens with the first and closes when none came for a
/// while. They travel under random ids of its own; an answer has to come from a resolver that was
/// asked and repeat id and question. What stays unanswered is asked again, of the next resolver,
/// and over TCP as well: the first answer counts, so that a resolver with one of both is enough.
/// Where TCP was the one that answered, both are asked at once for a while, until UDP answers.
/// Asked over TCP alone: what was truncated (RFC 7766 §5), and all while nothing carries datagrams.
///
/// Lives in one loop thread. REQUIRES: what it is given outlives it; it outlives its attempts.
class DatagramForwarder final : public net::NameService {
 public:
  static constexpr size_t kMaxPending = 512;  ///< by UDP; further ones go over TCP
  static constexpr size_t kMaxQuery = 1232;   ///< bytes; longer ones go over TCP
  static constexpr Duration kTryTimeout = 1s;
  static constexpr unsigned kTries = 4;     ///< of one query by UDP
  static constexpr Duration kDoubt = 30s;   ///< after one that only TCP answered
  static constexpr Duration kRefused = 5s;  ///< without an association, after one that failed
  static constexpr Duration kIdle = 20s;

  /// `resolvers`: not empty. `over_tcp` asks the same. `carried`: whether datagrams are carried
  /// now; one that waits for that would wait too long.
  DatagramForwarder(io::Loop& loop, net::DatagramProxy& carrier, net::NameService& over_tcp,
                    std::vector<Endpoint> resolvers, std::function<bool()> carried);

  std::unique_ptr<net::Attempt> exchange(const Endpoint& server, Bytes query,
                                         net::Done<ByteVector> done) override;

  size_t pending() const { return pending_.size(); }  ///< by UDP

 private:
  class Exchange;
  enum class State : uint8_t { closed, opening, open };

  bool fits(Bytes query) const;
  uint16_t free_id() const;
  void ask(Exchange& exchange);
  void open();
  void opened(Result<std::unique_ptr<net::DatagramSession>> session);
  void received(const Endpoint& from, Bytes answer);
  void closed();
  void when_idle();

  io::Loop& loop_;
  net::DatagramProxy& carrier_;
  net::NameService& over_tcp_;
  const std::vector<Endpoint> resolvers_;
  const std::function<bool()> carried_;
  State state_ = State::closed;
  size_t preferred_ = 0;  // in resolvers_: the one that answered last
  Instant doubted_until_{};
  Instant refused_until_{};
  std::unordered_map<uint16_t, Exchange*> pending_;
  std::unique_ptr<net::Attempt> opening_;
  std::unique_ptr<net::DatagramSession> session_;
  io::Timer idle_;
};

}  // namespace tunproxy::dns
