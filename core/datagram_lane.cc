#include "core/datagram_lane.h"

#include <algorithm>
#include <utility>

#include "core/base/log.h"

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
                           udp::CarrierOptions carrier)
    : shared_(shared),
      own_(loop, std::move(own)),
      carrier_(
          loop, std::move(carrier),
          [this](auto command, auto done) {
            return shares() ? shared_.run(std::move(command), std::move(done))
                            : own_.run(std::move(command), std::move(done));
          },
          [this](const Target& target, auto done) {
            return shares() ? shared_.expedited().connect(target, std::move(done))
                            : own_.connect(target, std::move(done));
          }) {
  own_.on_state([this](State state, const Error* error) { own_state(state, error); });
}

void DatagramLane::start() {
  own_.start([](const Result<void>&) {});  // on_state() tells
}

void DatagramLane::shared_online() {
  if (shares()) carrier_.probe();
}

void DatagramLane::own_state(State state, const Error* error) {
  switch (state) {
    case State::online:
      return carrier_.probe();
    case State::failed:
      log::info("UDP and DNS share the SSH connection: the server grants no second one ({})",
                error->message);
      return carrier_.probe();
    case State::idle:
    case State::connecting:
    case State::authenticating:
    case State::stopped:
    case State::reconnecting:
      return;
  }
}

bool DatagramLane::carries() const {
  const udp::Carrier::State state = carrier_.state();
  return state == udp::Carrier::State::relay || state == udp::Carrier::State::udpgw;
}

void DatagramLane::describe(control::TunnelStatus& status) const {
  if (carries()) {
    status.carrier = carrier_.state() == udp::Carrier::State::relay ? "relay" : "udpgw";
  }
  if (shares()) return;
  control::SessionStatus session;
  session.name = "datagrams";
  session.state = to_string(own_.state());
  const ssh::Supervisor::Counters counters = own_.counters();
  session.up = counters.sent;
  session.down = counters.received;
  status.sessions.push_back(std::move(session));
}

}  // namespace tunproxy
