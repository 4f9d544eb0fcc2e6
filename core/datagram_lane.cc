#include "core/datagram_lane.h"

#include <fmt/format.h>

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

std::string status_line(const udp::Carrier& carrier, const std::optional<Endpoint>& resolver) {
  const std::string why = carrier.why_not();
  const std::string by = resolver ? "by " + resolver->to_string() : std::string();
  switch (carrier.state()) {
    case udp::Carrier::State::relay:
      return fmt::format(
          "UDP: carried by the relay helper at the server; NAT: full cone; names: {}",
          resolver ? by : "by the server's resolver");
    case udp::Carrier::State::udpgw:
      return fmt::format("UDP: carried by the udpgw at {}; NAT: symmetric; names: {}{}",
                         carrier.options().udpgw_at.to_string(), resolver ? by : "over TCP",
                         why.empty() ? why : fmt::format(" ({})", why));
    case udp::Carrier::State::off:
    case udp::Carrier::State::probing:
      break;
  }
  return fmt::format("UDP: not carried, programs get port unreachable ({}); names: {}over TCP", why,
                     resolver ? by + " " : by);
}

std::string status_line(const udp::WatchedProxy& socks5) {
  if (socks5.state() == udp::WatchedProxy::State::carried) {
    return "UDP: carried by the SOCKS5 server's relay; NAT: as that makes it; names: by UDP";
  }
  return fmt::format(
      "UDP: not carried, programs get port unreachable (the SOCKS5 server: {}); "
      "names: over TCP",
      socks5.why_not());
}

void tell_status(const std::string& line, bool carried) {
  if (carried) {
    log::info("{}", line);
  } else {
    log::warn("{}", line);
  }
}

DatagramLane::DatagramLane(io::Loop& loop, ssh::Pool& shared, ssh::SupervisorOptions own,
                           udp::CarrierOptions carrier, std::optional<Endpoint> resolver)
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
          }),
      resolver_(resolver) {
  own_.on_state([this](State state, const Error* error) { own_state(state, error); });
  carrier_.on_state([this](udp::Carrier::State state) { tell(state); });
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
  status.carrier_text = told_;
  if (shares()) return;
  control::SessionStatus session;
  session.name = "datagrams";
  session.state = to_string(own_.state());
  const ssh::Supervisor::Counters counters = own_.counters();
  session.up = counters.sent;
  session.down = counters.received;
  status.sessions.push_back(std::move(session));
}

// A carrier that is looked for again and not found is no news.
void DatagramLane::tell(udp::Carrier::State state) {
  std::string line = status_line(carrier_, resolver_);
  if (line == told_) return;
  tell_status(line, state != udp::Carrier::State::off);
  told_ = std::move(line);
}

}  // namespace tunproxy
