// An associate() of a Carrier: it waits for a probe's outcome if it must, then asks what carries.
#pragma once

#include <list>
#include <memory>
#include <optional>

#include "core/io/loop.h"
#include "core/net/datagram_proxy.h"
#include "core/udp/carrier.h"

namespace tunproxy::udp {

class Carrier::Association final : public net::Attempt {
 public:
  Association(Carrier& carrier, net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
              net::Done<std::unique_ptr<net::DatagramSession>> done);
  Association(const Association&) = delete;
  Association& operator=(const Association&) = delete;
  ~Association() override { leave(); }

  void wait();
  void go();
  void refuse(Error why);

 private:
  std::unique_ptr<net::DatagramSession> finished(std::unique_ptr<net::DatagramSession> session);
  void leave();

  Carrier& carrier_;
  std::optional<std::list<Association*>::iterator> place_;  // while it waits
  net::OnDatagram on_datagram_;
  net::OnAssociationClosed on_closed_;
  net::Done<std::unique_ptr<net::DatagramSession>> done_;
  std::optional<Error> refusal_;
  io::Task refuse_;
  std::shared_ptr<Client> client_;
  bool by_address_ = false;              // the client takes no names
  std::unique_ptr<net::Attempt> inner_;  // goes before its client
};

}  // namespace tunproxy::udp
