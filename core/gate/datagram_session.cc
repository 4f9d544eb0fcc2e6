#include "core/gate/datagram_session.h"

#include <algorithm>
#include <utility>

namespace tunproxy::gate {

using account::Drop;
using rules::Action;
using rules::Protocol;

DatagramGateSession::DatagramGateSession(Gatekeeper& keeper, const Who& who,
                                         net::OnDatagram on_datagram,
                                         net::OnAssociationClosed on_closed)
    : keeper_(keeper),
      who_(who),
      on_datagram_(std::move(on_datagram)),
      on_closed_(std::move(on_closed)),
      entry_(keeper.account().begin(who.source, account::Command::associate, {}, who.user)),
      generation_(keeper.generation()),
      trivial_(keeper.rules().trivial()),
      waiting_bytes_(keeper.loop().memory()),
      retry_(keeper.loop(), [this] { retry(); }) {}

DatagramGateSession::~DatagramGateSession() = default;

void DatagramGateSession::carry_by(std::unique_ptr<net::DatagramSession> tunnel) {
  tunnel_ = std::move(tunnel);
  if (tunnel_ != nullptr) tunnel_traffic_ = count_carrier(*tunnel_);
  entry_.open();
}

void DatagramGateSession::send(const Target& to, Bytes payload) {
  if (entry_.ended()) return keeper_.account().drop(Drop::closed);
  const Decision decision = decide(to);
  if (decision.pending) return wait(to, payload);
  if (decision.action == Action::deny) {
    const bool denied = decision.why == ErrorCode::not_allowed;
    return keeper_.account().drop(denied ? Drop::denied : Drop::unresolved);
  }
  const Target there = decision.address ? Target(*decision.address, to.port()) : to;
  if (decision.action == Action::direct) return send_direct(there, payload);
  if (tunnel_ == nullptr) return keeper_.account().drop(Drop::no_way);
  send_by(*tunnel_, *tunnel_traffic_, there, payload);
}

account::CarrierTraffic* DatagramGateSession::count_carrier(const net::DatagramSession& session) {
  account::CarrierTraffic& traffic = keeper_.account().carrier(session.carrier());
  ++traffic.flows;
  if (entry_.flow().carrier.empty()) entry_.flow().carrier = session.carrier();
  return &traffic;
}

void DatagramGateSession::send_by(net::DatagramSession& session, account::CarrierTraffic& traffic,
                                  const Target& to, Bytes payload) {
  entry_.flow().up += payload.size();
  ++traffic.datagrams_up;
  traffic.up += payload.size();
  session.send(to, payload);
}

std::optional<ErrorCode> DatagramGateSession::refuses(const Target& to) {
  if (entry_.ended()) return std::nullopt;
  const Decision decision = decide(to);
  if (decision.pending) return std::nullopt;
  if (decision.action == Action::deny) return decision.why;
  if (decision.action == Action::direct) {
    const bool none = keeper_.direct_datagrams() == nullptr || direct_failed_;
    return none ? std::optional(ErrorCode::not_allowed) : std::nullopt;
  }
  if (tunnel_ == nullptr) return ErrorCode::command_not_supported;
  return tunnel_->refuses(decision.address ? Target(*decision.address, to.port()) : to);
}

void DatagramGateSession::receive(const Endpoint& from, Bytes payload,
                                  account::CarrierTraffic* traffic) {
  if (entry_.ended() || traffic == nullptr) return keeper_.account().drop(Drop::closed);
  entry_.flow().down += payload.size();
  ++traffic->datagrams_down;
  traffic->down += payload.size();
  on_datagram_(from, payload);
}

void DatagramGateSession::on_tunnel_closed(const Error& error) {
  entry_.end({false, error.code});
  if (on_closed_) std::exchange(on_closed_, nullptr)(error);
}

// --- deciding ---

DatagramGateSession::Decision DatagramGateSession::decide(const Target& to) {
  if (generation_ != keeper_.generation()) {
    generation_ = keeper_.generation();
    trivial_ = keeper_.rules().trivial();
    decisions_.clear();
  }
  for (const Remembered& each : decisions_) {
    if (each.target == to && keeper_.loop().now() < each.decision.until) return each.decision;
  }
  const bool first = !entry_.decided();
  if (!first && trivial_) return through_the_tunnel();
  const Decision decision = decide_anew(to);
  if (first) entry_.flow().target = to;
  if (!decision.pending && !trivial_) remember(to, decision);
  return decision;
}

DatagramGateSession::Decision DatagramGateSession::through_the_tunnel() {
  Decision decision;
  decision.action = Action::tunnel;
  return decision;
}

void DatagramGateSession::remember(const Target& to, const Decision& decision) {
  const auto same = std::find_if(decisions_.begin(), decisions_.end(),
                                 [&](const Remembered& each) { return each.target == to; });
  if (same != decisions_.end()) {
    same->decision = decision;
  } else if (decisions_.size() < kMaxDecisions) {
    decisions_.push_back({to, decision});
  } else {
    decisions_[next_decision_] = {to, decision};
    next_decision_ = (next_decision_ + 1) % kMaxDecisions;
  }
}

DatagramGateSession::Decision DatagramGateSession::decide_anew(const Target& to) {
  if (auto good = Gatekeeper::check_name(to); !good) return refused(good.error().code);
  const rules::Verdict verdict = keeper_.judge(Protocol::udp, to, nullptr, who_);
  if (!verdict.needs_address) return settled(verdict);
  if (const auto* known = keeper_.lookup().known(to.name())) return from_addresses(to, *known);
  return look_up(to);
}

DatagramGateSession::Decision DatagramGateSession::settled(const rules::Verdict& verdict) {
  const std::string rule = keeper_.rules().name_of(verdict.rule);
  if (entry_.decided()) {
    keeper_.account().count_rule(rule);
  } else {
    entry_.decide(verdict.action, rule);
  }
  Decision decision;
  decision.action = verdict.action;
  return decision;
}

// For a moment: the next datagram after it asks again.
DatagramGateSession::Decision DatagramGateSession::refused(ErrorCode why) const {
  Decision decision;
  decision.why = why;
  decision.until = keeper_.loop().now() + Lookup::kMinTtl;
  return decision;
}

// To the first address that is not denied.
DatagramGateSession::Decision DatagramGateSession::from_addresses(
    const Target& to, const Lookup::Addresses& addresses) {
  if (addresses.empty()) return refused(ErrorCode::host_unreachable);
  rules::Verdict verdict;
  std::optional<IpAddress> allowed;
  for (const IpAddress& address : addresses) {
    verdict = keeper_.judge(Protocol::udp, to, &address, who_);
    if (verdict.action == Action::deny) continue;
    allowed = address;
    break;
  }
  Decision decision = settled(verdict);
  decision.address = allowed;
  decision.until = keeper_.loop().now() + Lookup::kMinTtl;
  return decision;
}

DatagramGateSession::Decision DatagramGateSession::look_up(const Target& to) {
  Decision decision;
  decision.pending = true;
  if (looks_up(to)) return decision;
  if (lookups_.size() >= kMaxLookups) return refused(ErrorCode::limit);
  const auto lookup = lookups_.insert(lookups_.end(), {to, nullptr});
  lookup->attempt = keeper_.lookup().ask(
      to.name(),
      [this, lookup](Result<Lookup::Addresses> found) { on_looked_up(lookup, std::move(found)); });
  return decision;
}

bool DatagramGateSession::looks_up(const Target& to) const {
  return std::any_of(lookups_.begin(), lookups_.end(),
                     [&](const LookingUp& each) { return each.target == to; });
}

void DatagramGateSession::on_looked_up(Lookups::iterator lookup, Result<Lookup::Addresses> found) {
  if (entry_.ended()) return;
  const Target& to = lookup->target;
  remember(to, found ? from_addresses(to, *found) : refused(found.error().code));
  retry_.schedule();
  keeper_.loop().retire(std::move(lookup->attempt));
  lookups_.erase(lookup);
}

void DatagramGateSession::wait(const Target& to, Bytes payload) {
  const size_t most = std::min(kMaxWaitingBytes, keeper_.loop().memory().allowance());
  const size_t bytes = sizeof(Waiting) + payload.size();
  if (bytes > most) return keeper_.account().drop(Drop::waiting);
  while (!waiting_.empty() &&
         (waiting_.size() >= kMaxWaiting || waiting_bytes_.bytes() + bytes > most)) {
    drop_oldest();
  }
  waiting_.push_back({to, {payload.begin(), payload.end()}});
  waiting_bytes_.set(waiting_bytes_.bytes() + bytes);
}

void DatagramGateSession::drop_oldest() {
  const size_t bytes = sizeof(Waiting) + waiting_.front().payload.size();
  waiting_bytes_.set(waiting_bytes_.bytes() - bytes);
  waiting_.pop_front();
  keeper_.account().drop(Drop::waiting);
}

void DatagramGateSession::retry() {
  waiting_bytes_.set(0);
  for (const Waiting& datagram : std::exchange(waiting_, {})) send(datagram.to, datagram.payload);
}

// --- outside the tunnel ---

void DatagramGateSession::send_direct(const Target& to, Bytes payload) {
  if (keeper_.direct_datagrams() == nullptr || direct_failed_) {
    return keeper_.account().drop(Drop::no_way);
  }
  if (direct_ == nullptr) {
    if (direct_attempt_ == nullptr) open_direct();
    return wait(to, payload);
  }
  send_by(*direct_, *direct_traffic_, to, payload);
}

void DatagramGateSession::open_direct() {
  direct_attempt_ = keeper_.direct_datagrams()->associate(
      [this](const Endpoint& from, Bytes payload) { receive(from, payload, direct_traffic_); },
      [this](const Error& error) { on_direct_failed(error); },
      [this](auto session) {
        if (!session) return on_direct_failed(session.error());
        direct_ = std::move(*session);
        if (!entry_.ended()) direct_traffic_ = count_carrier(*direct_);
        retry_.schedule();
      });
}

// At a limit the next datagram tries again.
void DatagramGateSession::on_direct_failed(const Error& error) {
  direct_failed_ = error.code != ErrorCode::limit;
  if (direct_failed_) return retry_.schedule();
  keeper_.tell_limit(error);
  keeper_.loop().retire(std::move(direct_attempt_));
  waiting_bytes_.set(0);
  for (size_t n = std::exchange(waiting_, {}).size(); n > 0; --n) {
    keeper_.account().drop(Drop::waiting);
  }
}

}  // namespace tunproxy::gate
