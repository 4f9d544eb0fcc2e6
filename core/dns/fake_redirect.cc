#include "core/dns/fake_redirect.h"

#include <utility>

#include "core/base/log.h"
#include "core/dns/fake_peers.h"
#include "core/io/delivery.h"

namespace tunproxy::dns {
namespace {

bool is_fake(const Target& target) {
  return !target.is_name() && FakeTable::contains(target.address());
}

Error stands_for_nothing(const Target& target) {
  log::debug("{} stands for no name (any more): its program has to resolve again",
             target.to_string());
  return {ErrorCode::host_unreachable, "a fake address that stands for no name (any more)"};
}

}  // namespace

std::unique_ptr<net::Attempt> FakeRedirect::connect(const Target& target,
                                                    net::Done<std::unique_ptr<net::Stream>> done) {
  if (!is_fake(target)) return proxy_.connect(target, std::move(done));
  if (const std::string* name = table_.name_of(target.address())) {
    return proxy_.connect(Target::from_host(*name, target.port()), std::move(done));
  }
  return std::make_unique<io::Later<std::unique_ptr<net::Stream>>>(loop_, std::move(done),
                                                                   stands_for_nothing(target));
}

std::unique_ptr<net::Attempt> FakeRedirect::bind(const net::Expected& expected,
                                                 net::OnBound on_bound,
                                                 net::Done<net::Accepted> done) {
  const Target& from = expected.from;
  if (!is_fake(from)) return proxy_.bind(expected, std::move(on_bound), std::move(done));
  if (const std::string* name = table_.name_of(from.address())) {
    return proxy_.bind({Target::from_host(*name, from.port()), expected.may_come},
                       std::move(on_bound), std::move(done));
  }
  return std::make_unique<io::Later<net::Accepted>>(loop_, std::move(done),
                                                    stands_for_nothing(from));
}

class FakeDatagrams::Session final : public net::DatagramSession {
 public:
  Session(FakeDatagrams& owner, net::OnDatagram on_datagram)
      : owner_(owner), on_datagram_(std::move(on_datagram)) {}

  void carry_by(std::unique_ptr<net::DatagramSession> real) { real_ = std::move(real); }

  void send(const Target& to, Bytes payload) override {
    const Instant now = owner_.loop_.now();
    if (!is_fake(to)) {
      if (!to.is_name()) peers_.sent_directly({to.address(), to.port()}, now);
      return real_->send(to, payload);
    }
    const std::string* name = owner_.table_.name_of(to.address());
    if (name == nullptr) {
      owner_.table_.drop_nameless_datagram();
      return log::debug("a datagram to {}, which stands for no name (any more), is dropped",
                        to.to_string());
    }
    peers_.sent_by_name({to.address(), to.port()}, now);
    real_->send(Target::from_host(*name, to.port()), payload);
  }

  std::optional<ErrorCode> refuses(const Target& to) override {
    if (!is_fake(to)) return real_->refuses(to);
    const std::string* name = owner_.table_.name_of(to.address());
    if (name == nullptr) return ErrorCode::host_unreachable;
    return real_->refuses(Target::from_host(*name, to.port()));
  }

  void receive(const Endpoint& from, Bytes payload) {
    on_datagram_(peers_.shown(from, owner_.loop_.now()), payload);
  }

 private:
  FakeDatagrams& owner_;
  const net::OnDatagram on_datagram_;
  FakePeers peers_;
  std::unique_ptr<net::DatagramSession> real_;
};

class FakeDatagrams::Opening final : public net::Attempt {
 public:
  Opening(FakeDatagrams& owner, net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
          net::Done<std::unique_ptr<net::DatagramSession>> done)
      : done_(std::move(done)), session_(std::make_unique<Session>(owner, std::move(on_datagram))) {
    attempt_ = owner.proxy_.associate(
        [session = session_.get()](const Endpoint& from, Bytes payload) {
          session->receive(from, payload);
        },
        std::move(on_closed), [this](auto real) { opened(std::move(real)); });
  }

 private:
  // It may be destroyed from within.
  void opened(Result<std::unique_ptr<net::DatagramSession>> real) {
    const auto done = std::move(done_);
    if (!real) return done(real.error());
    session_->carry_by(std::move(*real));
    done(std::unique_ptr<net::DatagramSession>(std::move(session_)));
  }

  net::Done<std::unique_ptr<net::DatagramSession>> done_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<net::Attempt> attempt_;  // ends before the session that it would call
};

std::unique_ptr<net::Attempt> FakeDatagrams::associate(
    net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
    net::Done<std::unique_ptr<net::DatagramSession>> done) {
  return std::make_unique<Opening>(*this, std::move(on_datagram), std::move(on_closed),
                                   std::move(done));
}

}  // namespace tunproxy::dns
