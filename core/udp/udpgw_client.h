// UdpgwClient: UDP through a badvpn udpgw, as found on existing SSH-VPN servers, over a stream to
// it (a forwarded TCP connection).
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/bytes.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/stream.h"
#include "core/udp/client.h"
#include "core/udp/client_start.h"
#include "core/udp/silence_watch.h"
#include "core/udp/udpgw_client_queue.h"
#include "core/udp/udpgw_wire.h"

namespace tunproxy::udp {

struct UdpgwOptions {
  Duration probe_timeout = 2s;               ///< until the udpgw's resolver has answered
  Duration probe_interval = 500ms;           ///< the question may get lost: it is asked again
  Duration keepalive = 10s;                  ///< after 20 s without a frame the udpgw hangs up
  SilenceWatch::Times silence{5s, 5s, 20s};  ///< it is asked by the question of the probe
  QueueLimits queue{};                       ///< towards the udpgw
};

/// The udpgw keeps one socket for each (association, destination), here a flow, and returns only
/// what that destination sends: the NAT is symmetric. It has no handshake, so a DNS query to its
/// own resolver shows that it is there. Targets must be addresses.
///
///   probing ──an answer──► open ──the stream ends, nonsense, or silence──► lost (for good)
class UdpgwClient final : public Client {
 public:
  static constexpr size_t kMaxFlows = UdpgwQueue::kConnections;  ///< least recently used ones go
  static constexpr size_t kMaxAssociations = 256;                ///< further ones fail with limit

  struct Counters {
    uint64_t sent = 0;       ///< datagrams of associations
    uint64_t names = 0;      ///< of these, dropped as the protocol knows no names
    uint64_t too_long = 0;   ///< of these, dropped as its frames are shorter
    uint64_t gone = 0;       ///< of these, dropped as their association is gone
    QueueDrops queue;        ///< of these, before they left
    uint64_t evicted = 0;    ///< flows that others took the place of
    uint64_t received = 0;   ///< datagrams for an association
    uint64_t unclaimed = 0;  ///< datagrams for a flow that is gone
  };

  /// `done` gets the client when the udpgw's resolver has answered, or why it cannot serve:
  /// timed_out, protocol (something else listens there), or what ended the stream.
  static std::unique_ptr<net::Attempt> start(io::Loop& loop, std::unique_ptr<net::Stream> stream,
                                             const UdpgwOptions& options,
                                             net::Done<std::unique_ptr<UdpgwClient>> done);

  /// Costs no round trip: the udpgw learns of an association by its first datagram.
  std::unique_ptr<net::Attempt> associate(
      net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
      net::Done<std::unique_ptr<net::DatagramSession>> done) override;

  bool silent() const override { return watch_.silent(); }
  void close(const Error& why) override { fail(why); }
  void add_drops(Drops& to) const override;

  size_t flows() const { return by_remote_.size(); }
  Counters counters() const;

 private:
  enum class State : uint8_t { probing, open, lost };
  class Session;
  using Starting = ClientStart<UdpgwClient, UdpgwOptions>;
  friend Starting;
  class Pending;
  struct Association {
    net::OnDatagram on_datagram;
    net::OnAssociationClosed on_closed;
  };
  using Key = std::pair<uint32_t, Endpoint>;  // association (0: our own questions), destination
  struct Slot {                               // its index is the connection's id
    std::optional<Key> flow;
    uint64_t binding = 0;
    std::list<uint16_t>::iterator use;
  };

  UdpgwClient(io::Loop& loop, std::unique_ptr<net::Stream> stream, const UdpgwOptions& options,
              Starting& starting);

  void set_state(State next);
  void send(uint32_t association, const Target& to, Bytes payload);
  uint64_t* why_not(uint32_t association, const Target& to, Bytes payload);
  uint16_t flow_to(const Key& key);
  uint16_t free_slot();
  void release(uint16_t id);
  void close(uint32_t association);

  void ask();
  void on_tick();
  void on_watch(SilenceWatch::Event event);
  void flush();
  void on_progress();
  void take(Bytes bytes);
  void complete_frame(Bytes& bytes);
  bool decode_one(Bytes& bytes);
  void heard(const UdpgwFrame& frame);
  void on_answer(const UdpgwFrame& frame);
  void on_datagram(const UdpgwFrame& frame);
  void on_end();
  void fail(Error error);

  const std::unique_ptr<net::Stream> stream_;
  io::Loop& loop_;
  const UdpgwOptions options_;
  const Instant began_;
  Starting* starting_;  // owns this until the client was handed over
  State state_ = State::probing;
  std::optional<Error> lost_;
  ByteVector partial_;  // the front of a frame
  UdpgwQueue queue_;
  uint32_t last_association_ = 0;
  uint64_t last_binding_ = 0;
  std::unordered_map<uint32_t, Association> associations_;
  std::vector<Slot> slots_;
  std::list<uint16_t> by_use_;  // ids; free ones first, then the least recently used
  std::map<Key, uint16_t> by_remote_;
  Counters counters_;
  SilenceWatch watch_;
  io::Task flush_;
  io::Timer timer_;  // asks again while probing, then keeps alive
};

}  // namespace tunproxy::udp
