#include "core/gate/datagram_gate.h"

#include <optional>

#include "core/gate/datagram_session.h"
#include "core/io/delivery.h"

namespace tunproxy::gate {

// Through the tunnel where that carries datagrams: it says when there is an association, and why
// there is none. That is no failure where rules lead some outside.
class DatagramGate::Opening final : public net::Attempt {
 public:
  using Session = std::unique_ptr<net::DatagramSession>;

  Opening(DatagramGate& gate, net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
          net::Done<Session> done)
      : gate_(gate), done_(std::move(done)) {
    session_ = std::make_unique<DatagramGateSession>(gate.keeper_, gate.who_,
                                                     std::move(on_datagram), std::move(on_closed));
    begin();
  }

 private:
  void begin() {
    const Result<void> admitted = gate_.keeper_.admit();
    if (!admitted || gate_.tunnel_ == nullptr) {
      later_.emplace(gate_.keeper_.loop(), std::move(done_));
      if (!admitted) return later_->settle(fail(admitted.error()));
      return later_->settle(gate_.goes_outside() ? open(nullptr) : fail(not_carried()));
    }
    DatagramGateSession* const session = session_.get();
    attempt_ = gate_.tunnel_->associate(
        [session](const Endpoint& from, Bytes payload) { session->receive(from, payload); },
        [session](const Error& error) { session->on_tunnel_closed(error); },
        [this](auto tunnel) { on_associated(std::move(tunnel)); });
  }

  // Told at once: what comes for the association must not come before. It may be destroyed from
  // within.
  void on_associated(Result<Session> tunnel) {
    const auto done = std::move(done_);
    if (tunnel) return done(open(std::move(*tunnel)));
    done(gate_.goes_outside() ? open(nullptr) : fail(tunnel.error()));
  }

  Result<Session> open(Session tunnel) {
    session_->carry_by(std::move(tunnel));
    return Session(std::move(session_));
  }

  Result<Session> fail(const Error& error) {
    if (error.code == ErrorCode::limit) gate_.keeper_.tell_limit(error);
    session_->fail(error.code);
    return error;
  }

  static Error not_carried() { return {ErrorCode::command_not_supported, "UDP is not carried"}; }

  DatagramGate& gate_;
  net::Done<Session> done_;
  std::unique_ptr<DatagramGateSession> session_;
  std::optional<io::Delivery<Session>> later_;  // set: no association through the tunnel
  std::unique_ptr<net::Attempt> attempt_;       // ends before the session that it would call
};

bool DatagramGate::goes_outside() const {
  return keeper_.direct_datagrams() != nullptr && keeper_.rules().mentions(rules::Action::direct);
}

std::unique_ptr<net::Attempt> DatagramGate::associate(
    net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
    net::Done<std::unique_ptr<net::DatagramSession>> done) {
  return std::make_unique<Opening>(*this, std::move(on_datagram), std::move(on_closed),
                                   std::move(done));
}

}  // namespace tunproxy::gate
