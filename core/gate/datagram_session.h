// DatagramGateSession: one association of a DatagramGate.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "core/gate/gatekeeper.h"
#include "core/io/loop.h"
#include "core/net/datagram_proxy.h"

namespace tunproxy::gate {

/// Without rules that could decide otherwise nothing is remembered of a destination; with some, the
/// decisions about the last few are, so that datagrams that come in runs are judged once. What
/// waits, for a name's addresses or a socket, is bounded in number and bytes: the oldest goes.
class DatagramGateSession final : public net::DatagramSession {
 public:
  static constexpr size_t kMaxDecisions = 16;
  static constexpr size_t kMaxWaiting = 32;
  static constexpr size_t kMaxWaitingBytes = size_t{68} * 1024;  ///< less, where memory is short
  static constexpr size_t kMaxLookups = 16;  ///< names at the same time

  DatagramGateSession(Gatekeeper& keeper, const Who& who, net::OnDatagram on_datagram,
                      net::OnAssociationClosed on_closed);
  ~DatagramGateSession() override;

  /// From now on it is open. `tunnel`: nullptr: nothing goes there.
  void carry_by(std::unique_ptr<net::DatagramSession> tunnel);
  /// It could not be made; nothing else is called any more.
  void fail(ErrorCode why) { entry_.end({false, why}); }

  void send(const Target& to, Bytes payload) override;
  std::optional<ErrorCode> refuses(const Target& to) override;

  /// From the tunnel.
  void receive(const Endpoint& from, Bytes payload) { receive(from, payload, tunnel_traffic_); }
  void on_tunnel_closed(const Error& error);

 private:
  struct LookingUp {
    Target target;
    std::unique_ptr<net::Attempt> attempt;
  };
  using Lookups = std::list<LookingUp>;
  struct Decision {
    rules::Action action = rules::Action::deny;
    bool pending = false;                    // the name is being looked up; not remembered
    ErrorCode why = ErrorCode::not_allowed;  // of `deny`
    std::optional<IpAddress> address;        // of the name, to go to; nothing: to the name
    Instant until = Instant::max();
  };
  struct Remembered {
    Target target;
    Decision decision;
  };
  struct Waiting {
    Target to;
    ByteVector payload;
  };

  account::CarrierTraffic* count_carrier(const net::DatagramSession& session);
  void send_by(net::DatagramSession& session, account::CarrierTraffic& traffic, const Target& to,
               Bytes payload);
  void receive(const Endpoint& from, Bytes payload, account::CarrierTraffic* traffic);
  Decision decide(const Target& to);
  Decision decide_anew(const Target& to);
  static Decision through_the_tunnel();
  Decision settled(const rules::Verdict& verdict);
  Decision refused(ErrorCode why) const;
  Decision from_addresses(const Target& to, const Lookup::Addresses& addresses);
  Decision look_up(const Target& to);
  bool looks_up(const Target& to) const;
  void remember(const Target& to, const Decision& decision);
  void on_looked_up(Lookups::iterator lookup, Result<Lookup::Addresses> found);
  void wait(const Target& to, Bytes payload);
  void drop_oldest();
  void retry();
  void send_direct(const Target& to, Bytes payload);
  void open_direct();
  void on_direct_failed(const Error& error);

  Gatekeeper& keeper_;
  const Who who_;
  const net::OnDatagram on_datagram_;
  net::OnAssociationClosed on_closed_;
  account::Account::Entry entry_;
  uint64_t generation_;
  bool trivial_;  // of the rules of that generation
  std::vector<Remembered> decisions_;
  size_t next_decision_ = 0;  // the place of the oldest, once all are taken
  std::list<Waiting> waiting_;
  MemoryCharge waiting_bytes_;
  Lookups lookups_;
  bool direct_failed_ = false;
  std::unique_ptr<net::DatagramSession> tunnel_;
  std::unique_ptr<net::DatagramSession> direct_;
  account::CarrierTraffic* tunnel_traffic_ = nullptr;  // of these
  account::CarrierTraffic* direct_traffic_ = nullptr;
  std::unique_ptr<net::Attempt> direct_attempt_;
  io::Task retry_;
};

}  // namespace tunproxy::gate
