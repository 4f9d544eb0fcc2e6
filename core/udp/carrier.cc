#include "core/udp/carrier.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/log.h"
#include "core/udp/relay_bootstrap.h"

namespace tunproxy::udp {
namespace {

// A session that keeps the helper's client alive for as long as it refers to it.
class HeldSession final : public net::DatagramSession {
 public:
  HeldSession(std::shared_ptr<RelayClient> client, std::unique_ptr<net::DatagramSession> session)
      : client_(std::move(client)), session_(std::move(session)) {}

  void send(const Target& to, Bytes payload) override { session_->send(to, payload); }

 private:
  std::shared_ptr<RelayClient> client_;
  std::unique_ptr<net::DatagramSession> session_;  // goes first
};

}  // namespace

// An associate(): it waits for a probe's outcome if it must, then asks the helper.
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
    client_ = carrier_.relay_;
    inner_ = client_->associate(std::move(on_datagram_), std::move(on_closed_),
                                [this](Result<std::unique_ptr<net::DatagramSession>> session) {
                                  const auto done = std::exchange(done_, nullptr);
                                  if (!session) return done(session.error());
                                  done(std::unique_ptr<net::DatagramSession>(
                                      std::make_unique<HeldSession>(client_, std::move(*session))));
                                });
  }

 private:
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
  std::shared_ptr<RelayClient> client_;
  std::unique_ptr<net::Attempt> inner_;  // goes before its client
};

Carrier::Carrier(io::Loop& loop, Run run)
    : loop_(loop),
      run_(std::move(run)),
      deadline_(loop,
                [this] {
                  turn_off({ErrorCode::timed_out, "no helper answered at the server"}, true);
                }),
      pause_(loop, [this] { probe(); }) {}

Carrier::~Carrier() = default;

void Carrier::probe() {
  pause_.stop();
  drop_relay();
  if (state_ != State::probing) set_state(State::probing);
  deadline_.start(kProbeTimeout * 2);  // the command's start and the helper's hello
  attempt_ = run_(relay_command(), [this](auto helper) { began(std::move(helper)); });
}

void Carrier::began(Result<std::unique_ptr<net::Stream>> helper) {
  if (!helper) return turn_off(helper.error(), helper.error().code != ErrorCode::not_allowed);
  RelayOptions options;
  const Bytes program = relay_program();
  options.program.assign(program.begin(), program.end());
  options.probe_timeout = kProbeTimeout;
  attempt_ = RelayClient::start(loop_, std::move(*helper), options, [this](auto relay) {
    // A server without Python will not have it a minute later.
    if (!relay) return turn_off(relay.error(), relay.error().code == ErrorCode::timed_out);
    came_up(std::move(*relay));
  });
}

void Carrier::came_up(std::shared_ptr<RelayClient> relay) {
  deadline_.stop();
  attempt_.reset();
  relay_ = std::move(relay);
  relay_->on_closed([this](const Error& why) { turn_off(why, true); });
  next_pause_ = kFirstPause;
  set_state(State::relay);
  settle_waiting();
}

void Carrier::turn_off(const Error& why, bool try_again) {
  deadline_.stop();
  attempt_.reset();
  why_off_ = why.message;
  drop_relay();
  set_state(State::off);
  settle_waiting();
  if (!try_again) return;
  pause_.start(next_pause_);
  next_pause_ = std::min(next_pause_ * 2, kLongestPause);
}

// It may be calling, so it dies at the end of the batch at the earliest.
void Carrier::drop_relay() {
  if (!relay_) return;
  relay_->on_closed(nullptr);
  loop_.retire(std::exchange(relay_, nullptr));
}

void Carrier::settle_waiting() {
  while (!waiting_.empty()) {
    if (state_ == State::relay) {
      waiting_.front()->go();
    } else {
      waiting_.front()->refuse({ErrorCode::command_not_supported, why_off_});
    }
  }
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
  if (state_ == State::relay) {
    association->go();
  } else if (state_ == State::probing && waiting_.size() < kMaxWaiting) {
    association->wait();
  } else {
    association->refuse({ErrorCode::command_not_supported, why_off_});
  }
  return association;
}

}  // namespace tunproxy::udp
