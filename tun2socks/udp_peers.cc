#include "tun2socks/udp_peers.h"

#include <algorithm>
#include <utility>

namespace tunproxy::tun2socks {

UdpPeers::Peer* UdpPeers::find(const Endpoint& remote) {
  const auto found = std::find_if(peers_.begin(), peers_.end(),
                                  [&](const Peer& peer) { return peer.remote == remote; });
  if (found == peers_.end()) return nullptr;
  // Datagrams come in runs: the next search ends at once.
  if (found != peers_.begin()) std::iter_swap(found, peers_.begin());
  return &peers_.front();
}

bool UdpPeers::add(const Endpoint& remote, const Endpoint& local, Instant now) {
  if (full()) {
    knows_all_ = false;
    return false;
  }
  peers_.push_back({remote, local, now});
  return true;
}

std::vector<UdpPeers::Peer> UdpPeers::forget_before(Instant then) {
  const auto old = std::partition(peers_.begin(), peers_.end(),
                                  [&](const Peer& peer) { return peer.last_used >= then; });
  std::vector<Peer> forgotten(old, peers_.end());
  peers_.erase(old, peers_.end());
  return forgotten;
}

}  // namespace tunproxy::tun2socks
