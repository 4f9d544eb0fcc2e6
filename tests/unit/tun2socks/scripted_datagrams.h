// A DatagramProxy whose associations the test opens, feeds and closes, and a host for a UdpPool
// with a clock that the test moves.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/net/datagram_proxy.h"
#include "tun2socks/udp_pool.h"

namespace tunproxy::testing {

class ScriptedDatagrams final : public net::DatagramProxy {
 public:
  struct Association {
    net::OnDatagram on_datagram;
    net::OnAssociationClosed on_closed;
    net::Done<std::unique_ptr<net::DatagramSession>> done;
    bool cancelled = false;  ///< before it was open
    bool open = false;
    bool destroyed = false;
    std::optional<Target> forbidden;  ///< sessions refuse it as not_allowed
    std::vector<std::pair<Target, ByteVector>> sent;
  };

  std::unique_ptr<net::Attempt> associate(
      net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
      net::Done<std::unique_ptr<net::DatagramSession>> done) override;

  void open(size_t index);
  void open_all();  ///< that are neither open nor cancelled
  void fail(size_t index, ErrorCode code = ErrorCode::command_not_supported);
  /// The association ends at the far end.
  void lose(size_t index);
  /// A datagram comes for it.
  void reply(size_t index, const Endpoint& from, std::string_view text);

  std::vector<std::shared_ptr<Association>> all;
  bool record = true;  ///< keep what is sent
};

class ManualHost final : public tun2socks::UdpPool::Host {
 public:
  struct Datagram {
    Endpoint from;
    Endpoint to;
    std::string text;
    auto operator<=>(const Datagram&) const = default;
  };

  Instant now() const override { return time; }
  bool deliver(const Endpoint& from, const Endpoint& local, Bytes payload) override {
    delivered.push_back({from, local, std::string(as_text(payload))});
    return true;
  }
  void refuse(const Endpoint& local, const Endpoint& remote, Bytes payload,
              ErrorCode why) override {
    refused.push_back({local, remote, std::string(as_text(payload))});
    reasons.push_back(why);
  }
  void changed() override { ++changes; }

  Instant time{1h};
  int changes = 0;
  std::vector<Datagram> delivered;
  std::vector<Datagram> refused;
  std::vector<ErrorCode> reasons;  ///< of `refused`
};

}  // namespace tunproxy::testing
