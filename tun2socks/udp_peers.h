// UdpPeers: which flow of a UDP association talks to which destination. It is what lets several
// local ports share one: a reply is told apart by its sender, so a destination belongs to one flow.
// Pure.
#pragma once

#include <vector>

#include "core/base/address.h"
#include "core/base/time.h"

namespace tunproxy::tun2socks {

/// Holds a few destinations, because it is searched for each datagram. One with more is not shared.
class UdpPeers {
 public:
  static constexpr size_t kMost = 32;

  struct Peer {
    Endpoint remote;
    Endpoint local;
    Instant last_used;
  };

  /// The flow that talks to `remote`, or nullptr. Valid until the next call that is not const.
  Peer* find(const Endpoint& remote);
  /// Notes a flow. False: there is no room; from now on knows_all() is false.
  /// REQUIRES: find(remote) == nullptr
  bool add(const Endpoint& remote, const Endpoint& local, Instant now);
  /// Whether every destination since the beginning was noted.
  bool knows_all() const { return knows_all_; }
  bool full() const { return peers_.size() >= kMost; }
  /// Forgets all flows that were last used before `then` and returns them.
  std::vector<Peer> forget_before(Instant then);
  const std::vector<Peer>& all() const { return peers_; }
  void clear() { std::vector<Peer>().swap(peers_); }

 private:
  std::vector<Peer> peers_;
  bool knows_all_ = true;
};

}  // namespace tunproxy::tun2socks
