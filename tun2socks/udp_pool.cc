#include "tun2socks/udp_pool.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace tunproxy::tun2socks {

UdpPool::UdpPool(net::DatagramProxy& proxy, Host& host, const EngineOptions& options,
                 EngineStats& stats)
    : proxy_(proxy),
      host_(host),
      most_(options.udp_associations),
      idle_(options.udp_idle),
      watcher_(options.watcher),
      stats_(stats) {}

UdpPool::Outcome UdpPool::send(const FlowKey& flow, Bytes payload) {
  if (payload.size() > kMaxPayload) return stats_.drop(Drop::too_large), Outcome::dropped;
  const Instant now = host_.now();
  const auto [association, outcome] = route(flow, now);
  if (association == nullptr) {
    if (outcome == Outcome::refused) ++stats_.udp_refused;
    return outcome;
  }
  use(*association, now);
  if (association->state == State::opening) {
    wait(*association, flow, payload);
    return Outcome::taken;
  }
  if (const auto why = association->session->refuses(flow.target)) {
    ++stats_.udp_refused;
    return *why == ErrorCode::not_allowed ? Outcome::prohibited : Outcome::refused;
  }
  ++stats_.udp_datagrams_up;
  association->session->send(flow.target, payload);
  return Outcome::taken;
}

UdpPool::Found UdpPool::route(const FlowKey& flow, Instant now) {
  if (!guests_.empty()) {
    const auto guest = guests_.find(flow);
    if (guest != guests_.end()) {
      guest->second->peers.find(flow.target)->last_used = now;
      return {guest->second, Outcome::taken};
    }
  }
  const auto own = locals_.find(flow.application);
  if (own == locals_.end()) {
    return has_room(now) ? open(flow, now) : share(flow, now);
  }
  Association& association = *own->second;
  UdpPeers::Peer* const peer = association.peers.find(flow.target);
  // A guest was there first: its answers could not be told apart from the owner's.
  if (peer != nullptr && peer->local != flow.application) return share(flow, now);
  if (peer != nullptr) {
    peer->last_used = now;
  } else {
    note_peer(association, flow.target, now);
  }
  return {&association, Outcome::taken};
}

bool UdpPool::has_room(Instant now) const {
  if (associations_.size() < most_) return true;
  return !associations_.empty() && now - associations_.back().last_used >= kQuiet;
}

UdpPool::Found UdpPool::open(const FlowKey& flow, Instant now) {
  if (pause_.holds(now)) return {nullptr, Outcome::refused};
  if (associations_.size() >= most_) {
    ++stats_.udp_evicted;
    close(associations_.back());
  }
  associations_.emplace_front(flow.application, now);
  Association& association = associations_.front();
  association.self = associations_.begin();
  locals_.emplace(flow.application, &association);
  note_peer(association, flow.target, now);
  ++stats_.udp_opened;
  Association* const opened = &association;
  if (watcher_ != nullptr) watcher_->before_flow(true, flow.application, flow.target);
  association.attempt = proxy_.associate(
      [this, opened](const Endpoint& from, Bytes payload) { on_datagram(*opened, from, payload); },
      [this, opened](const Error&) { on_closed(*opened); },
      [this, opened](auto session) { on_opened(*opened, std::move(session)); });
  if (watcher_ != nullptr) watcher_->after_flow();
  host_.changed();
  return {&association, Outcome::taken};
}

/// Remembers whom the owner talks to, for as long as that can be told completely.
void UdpPool::note_peer(Association& association, const Endpoint& remote, Instant now) {
  UdpPeers& peers = association.peers;
  if (!peers.knows_all()) return;
  if (peers.full()) forget_old_peers(association, now);
  if (!peers.add(remote, association.local, now) && association.guests == 0) peers.clear();
}

UdpPool::Found UdpPool::share(const FlowKey& flow, Instant now) {
  if (now - forgotten_at_ >= kQuiet) {
    forgotten_at_ = now;
    for (Association& association : associations_) forget_old_peers(association, now);
  }
  Association* const best = best_to_share(flow);
  if (best == nullptr) {
    stats_.drop(Drop::association_limit);
    return {nullptr, Outcome::refused};
  }
  best->peers.add(flow.target, flow.application, now);
  ++best->guests;
  guests_.emplace(flow, best);
  ++stats_.udp_shared;
  return {best, Outcome::taken};
}

/// One that carries the same local port already, so that its destinations see it at one address;
/// else the one with the fewest flows.
UdpPool::Association* UdpPool::best_to_share(const FlowKey& flow) {
  Association* best = nullptr;
  for (Association& association : associations_) {
    UdpPeers& peers = association.peers;
    if (!peers.knows_all() || peers.full() || peers.find(flow.target) != nullptr) continue;
    const bool carries = std::any_of(peers.all().begin(), peers.all().end(), [&](const auto& peer) {
      return peer.local == flow.application;
    });
    if (carries) return &association;
    if (best == nullptr || peers.all().size() < best->peers.all().size()) best = &association;
  }
  return best;
}

void UdpPool::forget_old_peers(Association& association, Instant now) {
  for (const UdpPeers::Peer& peer : association.peers.forget_before(now - idle_)) {
    if (guests_.erase({peer.local, peer.remote}) != 0) --association.guests;
  }
}

void UdpPool::use(Association& association, Instant now) {
  association.last_used = now;
  associations_.splice(associations_.begin(), associations_, association.self);
}

void UdpPool::wait(Association& association, const FlowKey& flow, Bytes payload) {
  Waiting datagram{flow, {payload.begin(), payload.end()}};
  const size_t cost = datagram.cost();
  while (!association.waiting.empty() && (association.waiting.size() >= kMaxWaiting ||
                                          association.waiting_bytes + cost > kMaxWaitingBytes ||
                                          waiting_bytes_ + cost > kMaxAllWaitingBytes)) {
    drop_oldest(association);
  }
  if (waiting_bytes_ + cost > kMaxAllWaitingBytes) return stats_.drop(Drop::opening_limit);
  association.waiting.push_back(std::move(datagram));
  association.waiting_bytes += cost;
  waiting_bytes_ += cost;
}

void UdpPool::drop_oldest(Association& association) {
  const size_t cost = association.waiting.front().cost();
  association.waiting_bytes -= cost;
  waiting_bytes_ -= cost;
  association.waiting.pop_front();
  stats_.drop(Drop::opening_limit);
}

void UdpPool::on_opened(Association& association,
                        Result<std::unique_ptr<net::DatagramSession>> session) {
  association.attempt.reset();
  if (!session) return fail(association, host_.now());
  set_state(association, State::open);
  association.session = std::move(*session);
  waiting_bytes_ -= std::exchange(association.waiting_bytes, 0);
  for (const Waiting& datagram : std::exchange(association.waiting, {})) {
    if (const auto why = association.session->refuses(datagram.flow.target)) {
      refuse(datagram, *why);
      continue;
    }
    ++stats_.udp_datagrams_up;
    association.session->send(datagram.flow.target, datagram.payload);
  }
  host_.changed();
}

void UdpPool::on_datagram(Association& association, const Endpoint& from, Bytes payload) {
  if (association.state != State::open) return;
  const Instant now = host_.now();
  const Endpoint sender{from.address.unmapped(), from.port};
  use(association, now);
  UdpPeers::Peer* const peer = association.peers.find(sender);
  if (peer != nullptr) peer->last_used = now;
  // A sender that nobody has written to is the owner's: the association is its mapping.
  const Endpoint local = peer != nullptr ? peer->local : association.local;
  if (host_.deliver(sender, local, payload)) ++stats_.udp_datagrams_down;
}

void UdpPool::on_closed(Association& association) {
  if (association.state != State::open) return;
  ++stats_.udp_lost;
  const Instant now = host_.now();
  if (now - association.since < kShortLived) pause_.fail(now);
  close(association);
}

void UdpPool::fail(Association& association, Instant now) {
  ++stats_.udp_failed;
  pause_.fail(now);
  waiting_bytes_ -= std::exchange(association.waiting_bytes, 0);
  const std::list<Waiting> waiting = std::exchange(association.waiting, {});
  close(association);
  for (const Waiting& datagram : waiting) refuse(datagram, ErrorCode::refused);
}

void UdpPool::refuse(const Waiting& datagram, ErrorCode why) {
  ++stats_.udp_refused;
  host_.refuse(datagram.flow.application, datagram.flow.target, datagram.payload, why);
}

void UdpPool::close(Association& association) {
  set_state(association, State::closed);
  while (!association.waiting.empty()) drop_oldest(association);
  locals_.erase(association.local);
  if (association.guests > 0) {
    for (const auto& peer : association.peers.all()) guests_.erase({peer.local, peer.remote});
  }
  association.attempt.reset();
  closed_.splice(closed_.end(), associations_, association.self);
  host_.changed();
}

void UdpPool::set_state(Association& association, State next) {
  assert(association.state != State::closed && next != State::opening);
  assert(next != State::open || association.state == State::opening);
  association.state = next;
  association.since = host_.now();
}

std::optional<Instant> UdpPool::next_wake() const {
  if (associations_.empty()) return std::nullopt;
  Instant at = associations_.back().last_used + idle_;
  for (const Association& association : associations_) {
    if (association.state == State::opening) at = std::min(at, association.deadline());
  }
  return at;
}

void UdpPool::tick() {
  reap(idle_);
  const Instant now = host_.now();
  for (auto next = associations_.begin(); next != associations_.end();) {
    Association& association = *next++;
    if (association.state == State::opening && association.deadline() <= now)
      fail(association, now);
  }
}

void UdpPool::reap(Duration idle) {
  const Instant now = host_.now();
  while (!associations_.empty() && now - associations_.back().last_used >= idle) {
    ++stats_.udp_reaped;
    close(associations_.back());
  }
}

}  // namespace tunproxy::tun2socks
