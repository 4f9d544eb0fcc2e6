#include "core/udp/carrier.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/log.h"

namespace tunproxy::udp {
namespace {

// A session that keeps what carries it alive for as long as it refers to it.
class HeldSession final : public net::DatagramSession {
 public:
  HeldSession(std::shared_ptr<net::DatagramProxy> client,
              std::unique_ptr<net::DatagramSession> session, std::string_view name)
      : client_(std::move(client)), session_(std::move(session)), name_(name) {}

  void send(const Target& to, Bytes payload) override { session_->send(to, payload); }
  std::string_view carrier() const override { return name_; }

 private:
  std::shared_ptr<net::DatagramProxy> client_;
  std::unique_ptr<net::DatagramSession> session_;  // goes first
  const std::string_view name_;
};

}  // namespace

// An associate(): it waits for a probe's outcome if it must, then asks what carries.
class Carrier::Association final : public net::Attempt {
 public:
  Association(Carrier& carrier, net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
              net::Done<std::unique_ptr<net::DatagramSession>> done)
      : carrier_(carrier),
        on_datagram_(std::move(on_datagram)),
        on_closed_(std::move(on_closed)),
        done_(std::move(done)),
        refuse_(carrier.loop_, [this] { std::exchange(done_, nullptr)(*refusal_); }) {}
  Association(const Association&) = delete;
  Association& operator=(const Association&) = delete;
  ~Association() override {
    if (place_) carrier_.waiting_.erase(*place_);
  }

  void wait() { place_ = carrier_.waiting_.insert(carrier_.waiting_.end(), this); }

  void refuse(Error why) {
    leave();
    refusal_ = std::move(why);
    refuse_.schedule();
  }

  void go() {
    leave();
    client_ = carrier_.in_use();
    by_address_ = client_ == carrier_.udpgw_;
    inner_ = client_->associate(std::move(on_datagram_), std::move(on_closed_),
                                [this](Result<std::unique_ptr<net::DatagramSession>> session) {
                                  const auto done = std::exchange(done_, nullptr);
                                  if (!session) return done(session.error());
                                  done(finished(std::move(*session)));
                                });
  }

 private:
  std::unique_ptr<net::DatagramSession> finished(std::unique_ptr<net::DatagramSession> session) {
    auto held =
        std::make_unique<HeldSession>(client_, std::move(session), by_address_ ? "udpgw" : "relay");
    if (!by_address_ || carrier_.names_ == nullptr) return held;
    return std::make_unique<NamedSession>(*carrier_.names_, std::move(held));
  }

  void leave() {
    if (place_) carrier_.waiting_.erase(*place_);
    place_.reset();
  }

  Carrier& carrier_;
  std::optional<std::list<Association*>::iterator> place_;  // while it waits
  net::OnDatagram on_datagram_;
  net::OnAssociationClosed on_closed_;
  net::Done<std::unique_ptr<net::DatagramSession>> done_;
  std::optional<Error> refusal_;
  io::Task refuse_;
  std::shared_ptr<net::DatagramProxy> client_;
  bool by_address_ = false;              // the client takes no names
  std::unique_ptr<net::Attempt> inner_;  // goes before its client
};

Carrier::Carrier(io::Loop& loop, CarrierOptions options, Run run, Connect connect)
    : loop_(loop),
      options_(std::move(options)),
      run_(std::move(run)),
      connect_(std::move(connect)),
      deadline_(loop,
                [this] {
                  failed(static_cast<Index>(trying_),
                         {ErrorCode::timed_out, "the server did not answer in time"}, true);
                }),
      pause_(loop, [this] { look_again(); }),
      next_pause_(options_.first_pause) {
  ways_[kRelay].wanted = options_.relay;
  ways_[kUdpgw].wanted = options_.udpgw;
}

void Carrier::probe() {
  pause_.stop();
  attempt_.reset();
  drop();
  asked_ = true;
  next_pause_ = options_.first_pause;
  for (Way& way : ways_) way = {way.wanted, way.wanted, false, {}};
  if (state_ != State::probing) set_state(State::probing);
  try_from(kRelay);
}

void Carrier::look_again() {
  if (state_ == State::off) set_state(State::probing);
  try_from(kRelay);
}

// The next one that is worth it and better than what is in use.
void Carrier::try_from(size_t index) {
  const size_t end = udpgw_ ? kUdpgw : kWays;
  while (index < end && !ways_[index].promising) ++index;
  if (index >= end) return settle();
  trying_ = index;
  deadline_.start(options_.probe_timeout * 2);
  if (index == kRelay) {
    try_relay();
  } else {
    try_udpgw();
  }
}

void Carrier::failed(Index index, const Error& why, bool promising) {
  deadline_.stop();
  attempt_.reset();
  ways_[index].why = why.message;
  ways_[index].promising = promising;
  log::debug("UDP carrier {} failed: {}", index == kRelay ? "relay" : "udpgw", why.message);
  try_from(index + 1);
}

void Carrier::try_relay() {
  attempt_ = run_(relay_command(options_.helper), [this](auto helper) { ran(std::move(helper)); });
}

void Carrier::ran(Result<std::unique_ptr<net::Stream>> helper) {
  if (!helper) return failed(kRelay, helper.error(), helper.error().code != ErrorCode::not_allowed);
  RelayOptions options;
  const Bytes program = relay_program();
  options.program.assign(program.begin(), program.end());
  options.probe_timeout = options_.probe_timeout;
  attempt_ = RelayClient::start(loop_, std::move(*helper), options, [this](auto relay) {
    if (!relay) {
      // A server without Python will not have it a minute later.
      const bool promising = relay.error().code == ErrorCode::timed_out || ways_[kRelay].worked;
      return failed(kRelay, relay.error(), promising);
    }
    drop();
    relay_ = std::move(*relay);
    relay_->on_closed([this](const Error& why) { died(kRelay, why); });
    if (!rules_.empty()) relay_->enforce(rules_);
    came_up(kRelay);
  });
}

void Carrier::try_udpgw() {
  attempt_ = connect_(options_.udpgw_at, [this](auto stream) { connected(std::move(stream)); });
}

void Carrier::connected(Result<std::unique_ptr<net::Stream>> stream) {
  if (!stream) return failed(kUdpgw, stream.error(), may_come(stream.error()));
  UdpgwOptions options = options_.udpgw_options;
  options.probe_timeout = options_.probe_timeout;
  attempt_ = UdpgwClient::start(loop_, std::move(*stream), options, [this](auto udpgw) {
    if (!udpgw) return failed(kUdpgw, udpgw.error(), may_come(udpgw.error()));
    drop();
    udpgw_ = std::move(*udpgw);
    udpgw_->on_closed([this](const Error& why) { died(kUdpgw, why); });
    came_up(kUdpgw);
  });
}

// Whoever asks for a udpgw and nothing else means to start one.
bool Carrier::may_come(const Error& error) const {
  if (error.code == ErrorCode::not_allowed) return false;
  const bool absent = error.code == ErrorCode::refused || error.code == ErrorCode::protocol;
  return !absent || ways_[kUdpgw].worked || !options_.relay;
}

void Carrier::came_up(Index index) {
  deadline_.stop();
  attempt_.reset();
  ways_[index].why.clear();
  ways_[index].worked = true;
  up_since_ = loop_.now();
  set_state(index == kRelay ? State::relay : State::udpgw);
  settle();
}

// One that dies as soon as it lives is not tried ever faster: what comes next is worse, or a pause.
void Carrier::died(Index index, const Error& why) {
  ways_[index].why = why.message;
  ways_[index].promising = true;
  if (loop_.now() - up_since_ >= options_.longest_pause) next_pause_ = options_.first_pause;
  drop();
  pause_.stop();
  set_state(State::probing);
  if (attempt_ == nullptr) try_from(index + 1);
}

// Nothing is left to be tried now.
void Carrier::settle() {
  trying_ = kWays;
  if (in_use() == nullptr) set_state(State::off);
  settle_waiting();
  const size_t better = relay_ ? kRelay : udpgw_ ? kUdpgw : kWays;
  for (size_t index = kRelay; index < better; ++index) {
    if (!ways_[index].promising || pause_.active()) continue;
    pause_.start(next_pause_);
    next_pause_ = std::min(next_pause_ * 2, options_.longest_pause);
  }
}

std::shared_ptr<net::DatagramProxy> Carrier::in_use() const {
  if (relay_) return relay_;
  return udpgw_;
}

// It may be calling, so it dies at the end of the batch at the earliest.
void Carrier::drop() {
  if (relay_) {
    relay_->on_closed(nullptr);
    loop_.retire(std::exchange(relay_, nullptr));
  }
  if (udpgw_) {
    udpgw_->on_closed(nullptr);
    loop_.retire(std::exchange(udpgw_, nullptr));
  }
}

std::string Carrier::why_not() const {
  if (!asked_) return "there is no connection yet";
  std::string text;
  if (!ways_[kRelay].why.empty()) text = "relay helper: " + ways_[kRelay].why;
  if (!ways_[kUdpgw].why.empty()) {
    if (!text.empty()) text += "; ";
    text += "udpgw at " + options_.udpgw_at.to_string() + ": " + ways_[kUdpgw].why;
  }
  if (text.empty() && state_ == State::off) text = "it is switched off";
  return text;
}

void Carrier::settle_waiting() {
  while (!waiting_.empty()) {
    if (in_use() != nullptr) {
      waiting_.front()->go();
    } else {
      waiting_.front()->refuse({ErrorCode::command_not_supported, why_not()});
    }
  }
}

void Carrier::enforce(std::vector<rules::FarRule> rules) {
  if (rules.size() > Rules::kMaxRules) {
    log::warn("the relay helper is told the first {} of {} rules about UDP; it enforces no others",
              Rules::kMaxRules, rules.size());
  }
  if (rules == rules_) return;
  rules_ = std::move(rules);
  if (relay_) relay_->enforce(rules_);
}

void Carrier::set_state(State next) {
  state_ = next;
  if (next != State::probing && changed_) changed_(next);
}

std::unique_ptr<net::Attempt> Carrier::associate(
    net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
    net::Done<std::unique_ptr<net::DatagramSession>> done) {
  auto association = std::make_unique<Association>(*this, std::move(on_datagram),
                                                   std::move(on_closed), std::move(done));
  if (in_use() != nullptr) {
    association->go();
  } else if (state_ == State::probing && waiting_.size() < kMaxWaiting) {
    association->wait();
  } else {
    association->refuse({ErrorCode::command_not_supported, why_not()});
  }
  return association;
}

}  // namespace tunproxy::udp
