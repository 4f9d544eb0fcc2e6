// RelayClient: UDP through a helper at the SSH server, over a stream to it (an exec channel), and
// questions to the server's own resolver.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/base/bytes.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/stream.h"
#include "core/udp/client.h"
#include "core/udp/client_start.h"
#include "core/udp/relay_client_channel.h"

namespace tunproxy::udp {

class RelayClient final : public Client, private RelayChannel::User {
 public:
  static constexpr size_t kMaxRequests = 512;  ///< unanswered ones; further ones fail with limit

  struct Counters {
    uint64_t sent = 0;       ///< datagrams towards the helper
    uint64_t gone = 0;       ///< of these, dropped as their association, or the helper, is gone
    QueueDrops queue;        ///< of these, before they left
    uint64_t received = 0;   ///< datagrams for an association
    uint64_t unclaimed = 0;  ///< datagrams for one that is gone
    Stats helper;            ///< as it told lately
  };

  /// `done` gets the client when the helper has said hello, or why it cannot serve: timed_out,
  /// protocol, or what ended the stream, with the last line that the far end printed instead.
  static std::unique_ptr<net::Attempt> start(io::Loop& loop, std::unique_ptr<net::Stream> stream,
                                             const RelayOptions& options,
                                             net::Done<std::unique_ptr<RelayClient>> done);

  /// An association is its helper's socket: endpoint-independent mapping and filtering. Error
  /// limit: the helper serves no more; else what the helper or the channel says.
  std::unique_ptr<net::Attempt> associate(
      net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
      net::Done<std::unique_ptr<net::DatagramSession>> done) override;

  /// Asks the server's own resolver one DNS message (RFC 1035 §4.1); the answer, of any length,
  /// carries its id. Error host_unreachable: no resolver answered; timed_out; limit.
  std::unique_ptr<net::Attempt> resolve(Bytes query, net::Done<ByteVector> done);

  bool silent() const override { return channel_.watch().silent(); }
  /// The helper was asked whether it lives, and has not answered yet.
  bool doubted() const { return channel_.watch().doubted(); }
  void close(const Error& why) override { channel_.fail(why); }
  /// Beyond Rules::kMaxRules the helper hears of none.
  void enforce(const std::vector<rules::FarRule>& rules) override;
  void add_drops(Drops& to) const override;

  const Hello& helper() const { return helper_; }  ///< what the helper said of itself
  size_t associations() const { return associations_.size(); }
  Counters counters() const;

 private:
  class Session;
  using Starting = ClientStart<RelayClient, RelayOptions>;
  friend Starting;
  class Pending;
  struct Association {
    net::OnDatagram on_datagram;
    net::OnAssociationClosed on_closed;
  };
  using Answer = Result<const RelayBody*>;
  struct Request {
    std::function<void(uint32_t id, const Answer&)> complete;
    bool associates = false;
    Instant deadline;
    std::optional<Error> refusal;  // settle_ tells it
  };

  RelayClient(io::Loop& loop, std::unique_ptr<net::Stream> stream, const RelayOptions& options,
              Starting& starting);

  void on_open(const Hello& helper) override;
  void on_message(const RelayMessage& message) override;
  void on_silence() override { tell_silent(); }
  void on_lost(const Error& error) override;

  std::unique_ptr<net::Attempt> ask(const RelayBody& body, Request request);
  std::optional<Error> why_not(const Request& request) const;
  void answer(uint32_t id, const Answer& answer);
  void cancel(uint32_t id);
  void settle();
  void expire();
  void on_packet(uint32_t id, const UdpPacket& packet);
  void on_association_closed(uint32_t id, const Error& error);
  void send(uint32_t id, const Target& to, Bytes payload);
  void close(uint32_t id);

  io::Loop& loop_;
  const Duration answer_timeout_;
  Starting* starting_;  // owns this until the client was handed over
  Hello helper_;
  std::optional<Error> lost_;
  uint32_t last_id_ = 0;
  std::unordered_map<uint32_t, Request> requests_;
  std::unordered_map<uint32_t, Association> associations_;
  Counters counters_;
  io::Task settle_;
  io::Timer expiry_;
  RelayChannel channel_;
};

}  // namespace tunproxy::udp
