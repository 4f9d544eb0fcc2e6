// ClientAssociation: an association at a SOCKS5 server (RFC 1928 §7), as a DatagramSession.
#pragma once

#include <memory>

#include "core/base/address.h"
#include "core/base/result.h"
#include "core/io/loop.h"
#include "core/io/udp_socket.h"
#include "core/net/datagram_proxy.h"
#include "core/net/stream.h"
#include "core/socks5/udp_traffic.h"

namespace tunproxy::socks5 {

/// Owned by whoever asked the Client for it. Lives as long as the TCP connection it was asked for
/// on.
class ClientAssociation final : public net::DatagramSession {
 public:
  /// A connection on which the server has agreed.
  struct Agreed {
    std::unique_ptr<net::Stream> control;
    Target bound;     ///< BND.ADDR and BND.PORT
    Endpoint local;   ///< our end of the connection
    Endpoint server;  ///< and the server's
  };

  /// Where the server takes datagrams: BND.ADDR, or where it was reached if that is 0.0.0.0 or ::.
  /// Error protocol if it is a name or has no port.
  static Result<Endpoint> relay_of(const Target& bound, const Endpoint& server);

  /// Sends from the address that the server sees in the connection, as that is the one it expects.
  /// Error protocol as in relay_of(), or the failed system call's. May be called from the
  /// connection's callback. REQUIRES: `loop` and `traffic` outlive it.
  static Result<std::unique_ptr<net::DatagramSession>> open(io::Loop& loop, UdpTraffic& traffic,
                                                            Agreed agreed,
                                                            const io::PrepareSocket& prepare,
                                                            net::OnDatagram on_datagram,
                                                            net::OnAssociationClosed on_closed);

  void send(const Target& to, Bytes payload) override;
  std::string_view carrier() const override { return "socks5"; }

 private:
  ClientAssociation(UdpTraffic& traffic, std::unique_ptr<net::Stream> control,
                    const Endpoint& relay, net::OnDatagram on_datagram,
                    net::OnAssociationClosed on_closed);
  void receive(const Endpoint& from, Bytes wire);
  void watch_control();

  UdpTraffic& traffic_;
  const Endpoint relay_;
  net::OnDatagram on_datagram_;
  net::OnAssociationClosed on_closed_;
  bool closed_ = false;
  std::unique_ptr<net::Stream> control_;
  std::unique_ptr<io::UdpSocket> socket_;
};

}  // namespace tunproxy::socks5
