#include "core/datagram_lane.h"

#include <utility>

#include "core/base/log.h"

namespace tunproxy {

using State = ssh::Supervisor::State;

DatagramLane::DatagramLane(io::Loop& loop, ssh::Supervisor& shared, ssh::SupervisorOptions own)
    : shared_(shared), own_(loop, std::move(own)), carrier_(loop, [this](auto command, auto done) {
        ssh::Supervisor& connection = own_.state() == State::failed ? shared_ : own_;
        return connection.run(std::move(command), std::move(done));
      }) {
  own_.on_state([this](State state, const Error* error) { own_state(state, error); });
  carrier_.on_state([this](udp::Carrier::State state) { tell(state); });
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
    case State::reconnecting:
      return;
  }
}

void DatagramLane::tell(udp::Carrier::State state) {
  if (state == udp::Carrier::State::relay) {
    log::info(
        "UDP: carried by the relay helper at the server; NAT: full cone; names: by the server's "
        "resolver");
  } else {
    log::warn("UDP: not carried, programs get port unreachable ({}); names: over TCP",
              carrier_.why_off());
  }
}

}  // namespace tunproxy
