// FakeRedirect and FakeDatagrams: what goes to an address of a FakeTable goes on by its name.
#pragma once

#include <memory>

#include "core/dns/fake_table.h"
#include "core/io/loop.h"
#include "core/net/datagram_proxy.h"
#include "core/net/proxy.h"

namespace tunproxy::dns {

/// Stands in front of another Proxy, to which everything goes. An address of the table that stands
/// for no name (any more) is host_unreachable.
class FakeRedirect final : public net::Proxy {
 public:
  /// REQUIRES: all three outlive it; it outlives its attempts.
  FakeRedirect(io::Loop& loop, FakeTable& table, net::Proxy& proxy)
      : loop_(loop), table_(table), proxy_(proxy) {}

  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override;
  /// Whoever may come is named by its name; who came is told as it is.
  std::unique_ptr<net::Attempt> bind(const net::Expected& expected, net::OnBound on_bound,
                                     net::Done<net::Accepted> done) override;

 private:
  io::Loop& loop_;
  FakeTable& table_;
  net::Proxy& proxy_;
};

/// The same for datagrams: what answers a name is shown as the address that the program sent to
/// (FakePeers), which a connected socket insists on. A datagram to an address that stands for no
/// name is dropped.
class FakeDatagrams final : public net::DatagramProxy {
 public:
  /// REQUIRES: all three outlive it; it outlives its attempts and sessions.
  FakeDatagrams(io::Loop& loop, FakeTable& table, net::DatagramProxy& proxy)
      : loop_(loop), table_(table), proxy_(proxy) {}

  std::unique_ptr<net::Attempt> associate(
      net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
      net::Done<std::unique_ptr<net::DatagramSession>> done) override;

 private:
  class Session;
  class Opening;

  io::Loop& loop_;
  FakeTable& table_;
  net::DatagramProxy& proxy_;
};

}  // namespace tunproxy::dns
