#include "core/udp/carrier_association.h"

#include <utility>

namespace tunproxy::udp {
namespace {

// A session that keeps what carries it alive for as long as it refers to it.
class HeldSession final : public net::DatagramSession {
 public:
  HeldSession(std::shared_ptr<Client> client, std::unique_ptr<net::DatagramSession> session)
      : client_(std::move(client)), session_(std::move(session)) {}

  void send(const Target& to, Bytes payload) override { session_->send(to, payload); }
  std::string_view carrier() const override { return session_->carrier(); }
  std::optional<ErrorCode> refuses(const Target& to) override { return session_->refuses(to); }

 private:
  std::shared_ptr<Client> client_;
  std::unique_ptr<net::DatagramSession> session_;  // goes first
};

}  // namespace

Carrier::Association::Association(Carrier& carrier, net::OnDatagram on_datagram,
                                  net::OnAssociationClosed on_closed,
                                  net::Done<std::unique_ptr<net::DatagramSession>> done)
    : carrier_(carrier),
      on_datagram_(std::move(on_datagram)),
      on_closed_(std::move(on_closed)),
      done_(std::move(done)),
      refuse_(carrier.loop_, [this] { std::exchange(done_, nullptr)(*refusal_); }) {}

void Carrier::Association::wait() {
  place_ = carrier_.waiting_.insert(carrier_.waiting_.end(), this);
}

void Carrier::Association::leave() {
  if (place_) carrier_.waiting_.erase(*place_);
  place_.reset();
}

void Carrier::Association::refuse(Error why) {
  leave();
  refusal_ = std::move(why);
  refuse_.schedule();
}

void Carrier::Association::go() {
  leave();
  client_ = carrier_.in_use();
  by_address_ = carrier_.state_ == State::udpgw;
  inner_ = client_->associate(std::move(on_datagram_), std::move(on_closed_),
                              [this](Result<std::unique_ptr<net::DatagramSession>> session) {
                                const auto done = std::exchange(done_, nullptr);
                                if (!session) return done(session.error());
                                done(finished(std::move(*session)));
                              });
}

std::unique_ptr<net::DatagramSession> Carrier::Association::finished(
    std::unique_ptr<net::DatagramSession> session) {
  auto held = std::make_unique<HeldSession>(client_, std::move(session));
  if (!by_address_ || carrier_.names_ == nullptr) return held;
  return std::make_unique<NamedSession>(*carrier_.names_, std::move(held));
}

}  // namespace tunproxy::udp
