// Association: the sockets of one UDP association, one for each family, bound once.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "core/io/udp_socket.h"

namespace tunproxy::relay {

/// Any peer may answer and sees the same port: endpoint-independent mapping and filtering.
class Association {
 public:
  Association(io::Loop& loop, io::UdpSocket::OnDatagram on_datagram);

  /// Binds the IPv4 socket, where there is no IPv4 the other; the other family's comes when it is
  /// needed. Returns what was bound.
  Result<Endpoint> open();
  /// Keeps it for flush(), by when `payload` must still be there; false if there is no socket for
  /// the family.
  bool queue(const Endpoint& to, Bytes payload);
  bool queued() const { return queued_; }
  struct Flushed {
    size_t sent = 0;
    size_t failed = 0;  ///< not taken by the kernel
  };
  /// Sends what was queued, in order for each family.
  Flushed flush();

  Instant used() const { return used_; }  ///< when a datagram last passed, either way
  void touch() { used_ = loop_.now(); }

 private:
  struct Family {
    std::unique_ptr<io::UdpSocket> socket;
    std::vector<io::UdpSocket::Datagram> outgoing;
  };

  Result<Endpoint> bind(bool v6);

  io::Loop& loop_;
  io::UdpSocket::OnDatagram on_datagram_;
  std::array<Family, 2> families_;  // IPv4, IPv6
  bool queued_ = false;
  Instant used_;
};

}  // namespace tunproxy::relay
