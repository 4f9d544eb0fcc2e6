#include "core/datagram_lane.h"

#include <algorithm>
#include <utility>

#include "core/base/log.h"
#include "core/ssh/connector.h"
#include "core/ssh/turned_away.h"

namespace tunproxy {

using State = ssh::Supervisor::State;

namespace {

constexpr unsigned kForSocks = 100;  // associations beside those of the TUN

}  // namespace

udp::CarrierOptions carrier_options(const Config& config) {
  udp::CarrierOptions options;
  options.relay = config.udp == UdpCarrier::automatic || config.udp == UdpCarrier::relay;
  options.udpgw = config.udp == UdpCarrier::automatic || config.udp == UdpCarrier::udpgw;
  if (config.udpgw) options.udpgw_at = *config.udpgw;
  // The pool decides what is idle and what is too many; the helper only cleans up behind it.
  options.helper.idle = std::max<Duration>(std::chrono::seconds(config.udp_idle) + 30s, 120s);
  options.helper.max_associations = std::max(config.udp_associations + kForSocks, 256U);
  return options;
}

DatagramLane::DatagramLane(io::Loop& loop, ssh::Pool& shared, ssh::SupervisorOptions own,
                           udp::CarrierOptions carrier, LaneOptions options)
    : shared_(shared),
      own_(loop, std::move(own)),
      options_(options),
      next_pause_(options.first_pause),
      carrier_(loop, std::move(carrier), *this),
      patience_(loop, [this] { choose(); }),
      again_(loop, [this] { try_own(); }) {
  own_.on_state([this](State state, const Error* error) { own_state(state, error); });
  carrier_.on_silent([this] { doubt_own(); });
}

void DatagramLane::start() {
  patience_.start(options_.patience);
  own_.start([](const Result<void>&) {});  // on_state() tells
}

// Which connection.

void DatagramLane::choose() {
  const Via next = best();
  if (next == via_) return;
  const Via before = std::exchange(via_, next);
  log::debug("datagrams: by {} connection", next == Via::own      ? "their own"
                                            : next == Via::shared ? "the shared"
                                                                  : "no");
  if (next == Via::nothing) {
    carrier_.suspend();
  } else if (online(before)) {
    carrier_.renew();
  } else {
    carrier_.probe();
  }
}

DatagramLane::Via DatagramLane::best() const {
  const bool own = online(Via::own);
  const bool shared = online(Via::shared);
  if (own && !(own_silent_ && shared)) return Via::own;
  const bool coming = patience_.active() &&
                      (own_.state() == State::connecting || own_.state() == State::authenticating);
  return shared && !coming ? Via::shared : Via::nothing;
}

bool DatagramLane::online(Via via) const {
  if (via == Via::nothing) return false;
  return (via == Via::own ? own_.state() : shared_.state()) == State::online;
}

bool DatagramLane::sound() const {
  if (via_ == Via::own) return own_.sound();
  return shared_.sound();
}

std::unique_ptr<net::Attempt> DatagramLane::run(std::string command,
                                                net::Done<std::unique_ptr<net::Stream>> done) {
  if (via_ == Via::own) return own_.run(std::move(command), std::move(done));
  return shared_.run(std::move(command), std::move(done));
}

std::unique_ptr<net::Attempt> DatagramLane::connect(const Target& target,
                                                    net::Done<std::unique_ptr<net::Stream>> done) {
  if (via_ == Via::own) return own_.connect(target, std::move(done));
  return shared_.expedited().connect(target, std::move(done));
}

void DatagramLane::own_state(State state, const Error* error) {
  switch (state) {
    case State::online:
      own_silent_ = false;
      next_pause_ = options_.first_pause;
      again_.stop();
      due_ = false;
      break;
    case State::failed:
      patience_.stop();
      own_failed(*error);
      break;
    case State::reconnecting:
      patience_.stop();
      break;
    case State::idle:
    case State::connecting:
    case State::authenticating:
    case State::stopped:
      break;
  }
  choose();
}

void DatagramLane::own_failed(const Error& error) {
  const bool refused = ssh::permanent(error);
  log::emit(ssh::level_of_refusal(error), "UDP and DNS share the SSH connection: {} ({})",
            refused ? "the server grants no second one" : "there is no second one yet",
            error.message);
  if (refused) return;
  if (ssh::stay_away(error).longest > 0ms) next_pause_ = options_.longest_pause;
  try_own_later();
}

// The connection, or the helper behind it. Where there is another one, that decides.
void DatagramLane::doubt_own() {
  if (via_ != Via::own) return;
  own_.network_changed();  // so that it is probed
  if (!online(Via::shared)) return;
  own_silent_ = true;
  try_own_later();
  choose();
}

void DatagramLane::try_own_later() {
  due_ = paused_;
  if (paused_) return;
  again_.start(next_pause_);
  next_pause_ = std::min(next_pause_ * 2, options_.longest_pause);
}

void DatagramLane::try_own() {
  own_silent_ = false;
  if (own_.state() == State::failed) {
    own_.stop();
    own_.start([](const Result<void>&) {});
  }
  choose();
}

void DatagramLane::network_changed() {
  own_.network_changed();
  if (!again_.active()) return;
  next_pause_ = options_.first_pause;
  again_.start(next_pause_);
}

void DatagramLane::pause() {
  paused_ = true;
  due_ = due_ || again_.active();
  again_.stop();
  own_.pause();
}

void DatagramLane::wake() {
  if (!std::exchange(paused_, false)) return;
  own_.wake();
  if (std::exchange(due_, false)) try_own();
}

bool DatagramLane::carries() const {
  const udp::Carrier::State state = carrier_.state();
  return state == udp::Carrier::State::relay || state == udp::Carrier::State::udpgw;
}

void DatagramLane::describe(control::TunnelStatus& status) const {
  if (carries()) {
    status.carrier = carrier_.state() == udp::Carrier::State::relay ? "relay" : "udpgw";
  }
  for (const auto& [name, count] : carrier_.drops()) status.add_drops(name, count);
  if (own_.state() == State::failed) return;
  control::SessionStatus session;
  session.name = "datagrams";
  session.state = to_string(own_.state());
  const ssh::Supervisor::Counters counters = own_.counters();
  session.up = counters.sent;
  session.down = counters.received;
  status.sessions.push_back(std::move(session));
}

}  // namespace tunproxy
