#include "core/udp/carrier.h"

#include <algorithm>
#include <utility>

#include "core/base/log.h"
#include "core/udp/carrier_association.h"

namespace tunproxy::udp {
namespace {

constexpr unsigned kMostDoublings = 3;  // of the time for an answer
constexpr int kLivesAfter = 10;         // first pauses: what dies earlier is not tried at once

const Error kSilent{ErrorCode::timed_out, "it does not answer any more"};

}  // namespace

Carrier::Carrier(io::Loop& loop, CarrierOptions options, CarrierWay& way)
    : loop_(loop),
      options_(std::move(options)),
      way_(way),
      past_(std::make_shared<Drops>()),
      head_start_(loop, [this] { try_now(kUdpgw); }),
      hurry_(loop, [this] { settle(); }),
      pause_(loop, [this] { look(); }),
      next_pause_(options_.first_pause) {
  for (const Index index : {kRelay, kUdpgw}) {
    kinds_[index].deadline =
        std::make_unique<io::Timer>(loop, [this, index] { on_deadline(index); });
  }
}

void Carrier::probe() {
  forget_all();
  asked_ = true;
  next_pause_ = options_.first_pause;
  for (Kind& kind : kinds_) {
    kind.worked = false;
    kind.in_vain = 0;
    kind.why.clear();
  }
  kinds_[kRelay].promising = options_.relay;
  kinds_[kUdpgw].promising = options_.udpgw;
  set_state(State::probing);
  hurry_.start(options_.probe_timeout);
  look();
}

void Carrier::suspend() {
  forget_all();
  set_state(State::probing);
}

void Carrier::renew() {
  if (in_use() == nullptr) return probe();
  renewing_ = true;
  look();
}

// Looking.

void Carrier::look() {
  try_now(kRelay);
  if (kinds_[kRelay].trying()) {
    head_start_.start(options_.head_start);
  } else {
    try_now(kUdpgw);
  }
  settle();
}

void Carrier::try_now(Index index) {
  Kind& kind = kinds_[index];
  if (!kind.promising || kind.trying() || !lacks(index)) return;
  kind.deadline->start(patience(index));
  if (index == kRelay) {
    kind.attempt =
        way_.run(relay_command(options_.helper), [this](auto helper) { ran(std::move(helper)); });
  } else {
    kind.attempt =
        way_.connect(options_.udpgw_at, [this](auto stream) { connected(std::move(stream)); });
  }
}

// It would be better than what is in use, or as good where that has to be replaced.
bool Carrier::lacks(Index index) const {
  const size_t used = kinds_[kRelay].client ? kRelay : kinds_[kUdpgw].client ? kUdpgw : kKinds;
  return index < used || (index == used && (renewing_ || kinds_[used].client->silent()));
}

// Where the connection is silent, that says nothing about what it leads to.
void Carrier::on_deadline(Index index) {
  Kind& kind = kinds_[index];
  if (kind.attempt == nullptr) {
    try_now(index);
  } else if (way_.sound()) {
    failed(index, {ErrorCode::timed_out, "the server did not answer in time"}, true);
  } else {
    kind.deadline->start(options_.probe_timeout);
  }
}

Duration Carrier::patience(Index index) const {
  return options_.probe_timeout * (1u << std::min(kinds_[index].in_vain, kMostDoublings));
}

void Carrier::ran(Result<std::unique_ptr<net::Stream>> helper) {
  if (!helper) return failed(kRelay, helper.error(), helper.error().code != ErrorCode::not_allowed);
  RelayOptions options = options_.relay_options;
  const Bytes program = relay_program();
  options.program.assign(program.begin(), program.end());
  options.probe_timeout = patience(kRelay);
  kinds_[kRelay].deadline->stop();
  kinds_[kRelay].attempt =
      RelayClient::start(loop_, std::move(*helper), options, [this](auto relay) {
        if (relay) return came_up(kRelay, share(std::move(*relay)));
        // A server without Python will not have it a minute later.
        const bool late = relay.error().code == ErrorCode::timed_out;
        failed(kRelay, relay.error(), late || kinds_[kRelay].worked);
      });
}

void Carrier::connected(Result<std::unique_ptr<net::Stream>> stream) {
  if (!stream) return failed(kUdpgw, stream.error(), may_come(stream.error()));
  UdpgwOptions options = options_.udpgw_options;
  options.probe_timeout = patience(kUdpgw);
  kinds_[kUdpgw].deadline->stop();
  kinds_[kUdpgw].attempt =
      UdpgwClient::start(loop_, std::move(*stream), options, [this](auto udpgw) {
        if (udpgw) return came_up(kUdpgw, share(std::move(*udpgw)));
        failed(kUdpgw, udpgw.error(), may_come(udpgw.error()));
      });
}

// Whoever asks for a udpgw and nothing else means to start one.
bool Carrier::may_come(const Error& error) const {
  if (error.code == ErrorCode::not_allowed) return false;
  const bool absent = error.code == ErrorCode::refused || error.code == ErrorCode::protocol;
  return !absent || kinds_[kUdpgw].worked || !options_.relay;
}

void Carrier::failed(Index index, const Error& why, bool promising) {
  Kind& kind = kinds_[index];
  kind.attempt.reset();
  if (why.code == ErrorCode::timed_out && !way_.sound()) {
    return kind.deadline->start(options_.probe_timeout);  // then again
  }
  kind.deadline->stop();
  kind.why = why.message;
  kind.promising = promising;
  if (why.code == ErrorCode::timed_out) ++kind.in_vain;
  log::debug("UDP carrier {} failed: {}", index == kRelay ? "relay" : "udpgw", why.message);
  if (index == kRelay && head_start_.active()) {
    head_start_.stop();
    try_now(kUdpgw);
  }
  settle();
}

// Using.

void Carrier::came_up(Index index, std::shared_ptr<Client> client) {
  const std::shared_ptr<Client> before = in_use();
  for (size_t i = index; i < kKinds; ++i) {  // it is as good as these, or better
    kinds_[i].attempt.reset();
    kinds_[i].deadline->stop();
    drop(static_cast<Index>(i));
  }
  if (index == kRelay) head_start_.stop();
  Kind& kind = kinds_[index];
  kind.why.clear();
  kind.worked = true;
  kind.in_vain = 0;
  kind.client = std::move(client);
  kind.client->on_closed([this, index](const Error& why) { died(index, why); });
  kind.client->on_silent([this] {
    if (silent_) silent_();
    renew();
  });
  if (!rules_.empty()) kind.client->enforce(rules_);
  up_since_ = loop_.now();
  settle();
  if (before && before->silent()) before->close(kSilent);  // its sessions begin anew
}

void Carrier::died(Index index, const Error& why) {
  Kind& kind = kinds_[index];
  kind.why = why.message;
  kind.promising = true;
  const Duration lived = loop_.now() - up_since_;
  if (lived >= options_.longest_pause) next_pause_ = options_.first_pause;
  drop(index);
  pause_.stop();
  set_state(State::probing);
  hurry_.start(options_.probe_timeout);
  // One that dies as soon as it lives is not tried ever faster: after a pause, then.
  if (lived >= kLivesAfter * options_.first_pause) return look();
  if (index == kRelay) try_now(kUdpgw);
  settle();
}

// Whatever is known now decides, unless something better may come soon.
void Carrier::settle() {
  const bool relay = kinds_[kRelay].client != nullptr;
  const bool udpgw = kinds_[kUdpgw].client != nullptr;
  const bool better_comes = !relay && kinds_[kRelay].trying();
  const bool any_comes = kinds_[kRelay].trying() || kinds_[kUdpgw].trying();
  if (state_ == State::probing) {
    if (udpgw && better_comes && hurry_.active()) return;
    if (!relay && !udpgw && any_comes) return;
  }
  if (!any_comes) renewing_ = false;
  set_state(relay ? State::relay : udpgw ? State::udpgw : State::off);
  settle_waiting();
  if (!any_comes) look_later();
}

void Carrier::settle_waiting() {
  while (!waiting_.empty()) {
    if (state_ == State::off) {
      waiting_.front()->refuse({ErrorCode::command_not_supported, why_not()});
    } else {
      waiting_.front()->go();
    }
  }
}

void Carrier::look_later() {
  for (const Index index : {kRelay, kUdpgw}) {
    if (!kinds_[index].promising || !lacks(index) || pause_.active()) continue;
    pause_.start(next_pause_);
    next_pause_ = std::min(next_pause_ * 2, options_.longest_pause);
  }
}

const std::shared_ptr<Client>& Carrier::in_use() const {
  return kinds_[kRelay].client ? kinds_[kRelay].client : kinds_[kUdpgw].client;
}

std::shared_ptr<RelayClient> Carrier::relay() const {
  return std::static_pointer_cast<RelayClient>(kinds_[kRelay].client);
}

// It may go while it is calling. What it counted stays.
std::shared_ptr<Client> Carrier::share(std::unique_ptr<Client> client) {
  std::shared_ptr<Client> shared(client.release(), [&loop = loop_, past = past_](Client* gone) {
    gone->add_drops(*past);
    loop.retire(std::unique_ptr<Client>(gone));
  });
  std::erase_if(living_, [](const auto& each) { return each.expired(); });
  living_.push_back(shared);
  return shared;
}

void Carrier::drop(Index index) {
  std::shared_ptr<Client> client = std::exchange(kinds_[index].client, nullptr);
  if (!client) return;
  client->on_closed(nullptr);
  client->on_silent(nullptr);
}

void Carrier::forget_all() {
  for (io::Timer* timer : {&pause_, &head_start_, &hurry_}) timer->stop();
  renewing_ = false;
  for (const Index index : {kRelay, kUdpgw}) {
    kinds_[index].attempt.reset();
    kinds_[index].deadline->stop();
    drop(index);
  }
}

// What it is told, and tells.

void Carrier::enforce(std::vector<rules::FarRule> rules) {
  if (rules == rules_) return;
  if (rules.size() > Rules::kMaxRules) {
    log::warn("the relay helper is told the first {} of {} rules about UDP; it enforces no others",
              Rules::kMaxRules, rules.size());
  }
  rules_ = std::move(rules);
  for (const auto& each : living_) {
    if (const auto client = each.lock()) client->enforce(rules_);
  }
}

std::string Carrier::why_not() const {
  if (!asked_) return "there is no connection yet";
  std::string text;
  if (!kinds_[kRelay].why.empty()) text = "relay helper: " + kinds_[kRelay].why;
  if (!kinds_[kUdpgw].why.empty()) {
    if (!text.empty()) text += "; ";
    text += "udpgw at " + options_.udpgw_at.to_string() + ": " + kinds_[kUdpgw].why;
  }
  if (text.empty() && state_ == State::off) text = "it is switched off";
  return text;
}

Drops Carrier::drops() const {
  Drops drops = *past_;
  for (const auto& each : living_) {
    if (const auto client = each.lock()) client->add_drops(drops);
  }
  if (names_) drops["udpgw/unresolved"] += names_->dropped();
  return drops;
}

void Carrier::set_state(State next) {
  if (std::exchange(state_, next) == next) return;
  if (next != State::probing && changed_) changed_(next);
}

std::unique_ptr<net::Attempt> Carrier::associate(
    net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
    net::Done<std::unique_ptr<net::DatagramSession>> done) {
  auto association = std::make_unique<Association>(*this, std::move(on_datagram),
                                                   std::move(on_closed), std::move(done));
  if (state_ == State::relay || state_ == State::udpgw) {
    association->go();
  } else if (state_ == State::probing && waiting_.size() < kMaxWaiting) {
    association->wait();
  } else {
    association->refuse({ErrorCode::command_not_supported, why_not()});
  }
  return association;
}

}  // namespace tunproxy::udp
