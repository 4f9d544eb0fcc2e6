#include "core/gate/datagram_gate.h"

#include "core/gate/datagram_session.h"
#include "core/io/delivery.h"

namespace tunproxy::gate {

// Through the tunnel where that carries datagrams: it says when there is an association, and why
// there is none.
class DatagramGate::Opening final : public net::Attempt {
 public:
  Opening(DatagramGate& gate, net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
          net::Done<std::unique_ptr<net::DatagramSession>> done)
      : delivery_(gate.keeper_.loop(), std::move(done)) {
    session_ = std::make_unique<DatagramGateSession>(gate.keeper_, gate.who_,
                                                     std::move(on_datagram), std::move(on_closed));
    begin(gate);
  }

 private:
  void begin(DatagramGate& gate) {
    if (gate.tunnel_ == nullptr) {
      if (gate.keeper_.direct_datagrams() == nullptr) {
        return fail({ErrorCode::command_not_supported, "UDP is not carried"});
      }
      session_->carry_by(nullptr);
      return delivery_.settle(std::unique_ptr<net::DatagramSession>(std::move(session_)));
    }
    DatagramGateSession* const session = session_.get();
    attempt_ = gate.tunnel_->associate(
        [session](const Endpoint& from, Bytes payload) { session->receive(from, payload); },
        [session](const Error& error) { session->on_tunnel_closed(error); },
        [this](auto tunnel) {
          if (!tunnel) return fail(tunnel.error());
          session_->carry_by(std::move(*tunnel));
          delivery_.settle(std::unique_ptr<net::DatagramSession>(std::move(session_)));
        });
  }

  void fail(const Error& error) {
    session_->fail(error.code);
    delivery_.settle(error);
  }

  std::unique_ptr<DatagramGateSession> session_;
  io::Delivery<std::unique_ptr<net::DatagramSession>> delivery_;
  std::unique_ptr<net::Attempt> attempt_;  // ends before the session that it would call
};

std::unique_ptr<net::Attempt> DatagramGate::associate(
    net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
    net::Done<std::unique_ptr<net::DatagramSession>> done) {
  return std::make_unique<Opening>(*this, std::move(on_datagram), std::move(on_closed),
                                   std::move(done));
}

}  // namespace tunproxy::gate
