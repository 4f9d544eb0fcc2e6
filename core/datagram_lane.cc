#include "core/datagram_lane.h"

#include <fmt/format.h>

#include <utility>

#include "core/base/log.h"

namespace tunproxy {

using State = ssh::Supervisor::State;

udp::CarrierOptions carrier_options(const Config& config) {
  udp::CarrierOptions options;
  options.relay = config.udp == UdpCarrier::automatic || config.udp == UdpCarrier::relay;
  options.udpgw = config.udp == UdpCarrier::automatic || config.udp == UdpCarrier::udpgw;
  if (config.udpgw) options.udpgw_at = *config.udpgw;
  return options;
}

std::string status_line(const udp::Carrier& carrier) {
  const std::string why = carrier.why_not();
  switch (carrier.state()) {
    case udp::Carrier::State::relay:
      return "UDP: carried by the relay helper at the server; NAT: full cone; names: by the "
             "server's resolver";
    case udp::Carrier::State::udpgw:
      return fmt::format("UDP: carried by the udpgw at {}; NAT: symmetric; names: over TCP{}",
                         carrier.options().udpgw_at.to_string(),
                         why.empty() ? why : fmt::format(" ({})", why));
    case udp::Carrier::State::off:
    case udp::Carrier::State::probing:
      break;
  }
  return fmt::format("UDP: not carried, programs get port unreachable ({}); names: over TCP", why);
}

DatagramLane::DatagramLane(io::Loop& loop, ssh::Supervisor& shared, ssh::SupervisorOptions own,
                           udp::CarrierOptions carrier)
    : shared_(shared),
      own_(loop, std::move(own)),
      carrier_(
          loop, std::move(carrier),
          [this](auto command, auto done) {
            return connection().run(std::move(command), std::move(done));
          },
          [this](const Target& target, auto done) {
            return connection().connect(target, std::move(done));
          }) {
  own_.on_state([this](State state, const Error* error) { own_state(state, error); });
  carrier_.on_state([this](udp::Carrier::State state) { tell(state); });
}

ssh::Supervisor& DatagramLane::connection() {
  return own_.state() == State::failed ? shared_ : own_;
}

void DatagramLane::start() {
  own_.start([](const Result<void>&) {});  // on_state() tells
}

void DatagramLane::shared_online() {
  if (own_.state() == State::failed) carrier_.probe();
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

// A carrier that is looked for again and not found is no news.
void DatagramLane::tell(udp::Carrier::State state) {
  std::string line = status_line(carrier_);
  if (line == told_) return;
  if (state == udp::Carrier::State::off) {
    log::warn("{}", line);
  } else {
    log::info("{}", line);
  }
  told_ = std::move(line);
}

}  // namespace tunproxy
