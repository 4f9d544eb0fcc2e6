#include "core/io/direct_datagrams.h"

#include <algorithm>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/io/delivery.h"
#include "core/io/descriptors.h"
#include "core/io/resolver.h"
#include "core/io/udp_socket.h"

namespace tunproxy::io {
namespace {

const Endpoint& any(bool v6) {
  static const Endpoint kAny4{};
  static const Endpoint kAny6{*IpAddress::parse("::"), 0};
  return v6 ? kAny6 : kAny4;
}

}  // namespace

class DirectDatagrams::Session final : public net::DatagramSession {
 public:
  Session(Loop& loop, const PrepareSocket& prepare, Drops& drops, net::OnDatagram on_datagram)
      : loop_(loop),
        prepare_(prepare),
        drops_(drops),
        on_datagram_(std::move(on_datagram)),
        waiting_bytes_(loop.memory()) {}

  std::string_view carrier() const override { return "direct"; }

  void send(const Target& to, Bytes payload) override {
    if (!to.is_name()) return send_to({to.address(), to.port()}, payload);
    const auto known = names_.find(to.name());
    if (known == names_.end()) look_up(to.name());
    std::optional<IpAddress>& address = names_[to.name()].address;
    if (address) return send_to({*address, to.port()}, payload);
    wait(to, payload);
  }

 private:
  struct Name {
    std::optional<IpAddress> address;  // nothing: being looked up
    std::unique_ptr<net::Attempt> lookup;
  };
  struct Waiting {
    Target to;
    ByteVector payload;
  };

  void send_to(const Endpoint& to, Bytes payload) {
    std::unique_ptr<UdpSocket>& socket = to.address.is_v6() ? socket6_ : socket4_;
    if (!socket) {
      auto bound = UdpSocket::bind(
          loop_, any(to.address.is_v6()),
          [this](const Endpoint& from, Bytes data) { on_datagram_(from, data); }, prepare_);
      if (!bound) {
        ++drops_.no_socket;
        return;
      }
      socket = std::move(*bound);
    }
    if (!socket->send(to, payload)) ++drops_.unsent;
  }

  void wait(const Target& to, Bytes payload) {
    const size_t most = std::min(kMaxWaitingBytes, loop_.memory().allowance());
    if (payload.size() > most) {
      ++drops_.waiting;
      return;
    }
    while (!waiting_.empty() &&
           (waiting_.size() >= kMaxWaiting || waiting_bytes_.bytes() + payload.size() > most)) {
      drop_oldest();
    }
    waiting_.push_back({to, ByteVector(payload.begin(), payload.end())});
    waiting_bytes_.set(waiting_bytes_.bytes() + payload.size());
  }

  void drop_oldest() {
    ++drops_.waiting;
    waiting_bytes_.set(waiting_bytes_.bytes() - waiting_.front().payload.size());
    waiting_.pop_front();
  }

  void look_up(const std::string& name) {
    if (names_.size() >= kMaxNames) names_.clear();
    Name& entry = names_[name];
    entry.lookup = resolve(loop_, Target::from_host(name, 1),
                           [this, name](auto found) { on_looked_up(name, std::move(found)); });
  }

  // What waited for a name without an address is lost; the next datagram asks again.
  void on_looked_up(const std::string& name, Result<std::vector<Endpoint>> found) {
    const auto entry = names_.find(name);
    loop_.retire(std::move(entry->second.lookup));
    if (found) {
      entry->second.address = found->front().address;
    } else {
      names_.erase(entry);
    }
    waiting_bytes_.set(0);
    for (const Waiting& datagram : std::exchange(waiting_, {})) {
      if (datagram.to.name() == name && !found) {
        ++drops_.unresolved;
      } else {
        send(datagram.to, datagram.payload);
      }
    }
  }

  Loop& loop_;
  const PrepareSocket& prepare_;
  Drops& drops_;
  const net::OnDatagram on_datagram_;
  std::unordered_map<std::string, Name> names_;
  std::list<Waiting> waiting_;
  MemoryCharge waiting_bytes_;
  std::unique_ptr<UdpSocket> socket4_;
  std::unique_ptr<UdpSocket> socket6_;
};

class DirectDatagrams::Opening final : public net::Attempt {
 public:
  using Opened = Result<std::unique_ptr<net::DatagramSession>>;

  Opening(Loop& loop, net::Done<std::unique_ptr<net::DatagramSession>> done, Opened opened)
      : delivery_(loop, std::move(done)) {
    delivery_.settle(std::move(opened));
  }

 private:
  Delivery<std::unique_ptr<net::DatagramSession>> delivery_;
};

std::unique_ptr<net::Attempt> DirectDatagrams::associate(
    net::OnDatagram on_datagram, net::OnAssociationClosed,
    net::Done<std::unique_ptr<net::DatagramSession>> done) {
  Opening::Opened opened(
      std::make_unique<Session>(loop_, prepare_, drops_, std::move(on_datagram)));
  if (auto spare = check_descriptors(); !spare) opened = spare.error();
  return std::make_unique<Opening>(loop_, std::move(done), std::move(opened));
}

}  // namespace tunproxy::io
