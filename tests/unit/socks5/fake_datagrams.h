// A DatagramProxy whose associations the test opens, feeds and closes; or that echoes on its own.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/io/loop.h"
#include "core/net/datagram_proxy.h"

namespace tunproxy::testing {

class FakeDatagrams final : public net::DatagramProxy {
 public:
  struct Association {
    net::OnDatagram on_datagram;
    net::OnAssociationClosed on_closed;
    net::Done<std::unique_ptr<net::DatagramSession>> done;
    bool cancelled = false;
    bool destroyed = false;
    std::vector<std::pair<Target, ByteVector>> sent;
  };

  explicit FakeDatagrams(io::Loop& loop) : loop_(loop) {}

  std::unique_ptr<net::Attempt> associate(
      net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
      net::Done<std::unique_ptr<net::DatagramSession>> done) override {
    auto association = std::make_shared<Association>();
    association->on_datagram = std::move(on_datagram);
    association->on_closed = std::move(on_closed);
    association->done = std::move(done);
    all.push_back(association);
    if (at_once) {
      loop_.post([this, association] {
        if (!association->cancelled) open(*association);
      });
    }
    return std::make_unique<Pending>(association);
  }

  void open(Association& association) {
    std::exchange(association.done, nullptr)(
        std::unique_ptr<net::DatagramSession>(std::make_unique<Session>(*this, association)));
  }
  void fail(size_t index, ErrorCode code) {
    std::exchange(all[index]->done, nullptr)(Error{code, "as the test wants it"});
  }

  std::vector<std::shared_ptr<Association>> all;
  bool at_once = true;  ///< open each
  bool echo = true;     ///< from the address that was sent to; from named(), if that was a name

  static Endpoint named() { return *Endpoint::parse("192.0.2.53:53"); }

 private:
  class Pending final : public net::Attempt {
   public:
    explicit Pending(std::shared_ptr<Association> of) : of_(std::move(of)) {}
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    ~Pending() override { of_->cancelled = of_->done != nullptr; }

   private:
    const std::shared_ptr<Association> of_;
  };

  class Session final : public net::DatagramSession {
   public:
    Session(FakeDatagrams& fake, Association& of) : fake_(fake) {
      for (const auto& each : fake.all) {
        if (each.get() == &of) of_ = each;
      }
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session() override { of_->destroyed = true; }

    void send(const Target& to, Bytes payload) override {
      of_->sent.emplace_back(to, ByteVector(payload.begin(), payload.end()));
      if (!fake_.echo) return;
      const Endpoint from = to.is_name() ? named() : Endpoint{to.address(), to.port()};
      fake_.loop_.post([of = of_, from, back = of_->sent.back().second] {
        if (!of->destroyed) of->on_datagram(from, back);
      });
    }

   private:
    FakeDatagrams& fake_;
    std::shared_ptr<Association> of_;
  };

  io::Loop& loop_;
};

}  // namespace tunproxy::testing
