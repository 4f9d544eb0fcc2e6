// A DatagramProxy that sends from this machine itself.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "core/io/tcp.h"
#include "core/net/datagram_proxy.h"

namespace tunproxy::io {

/// Each association has a socket for IPv4 and one for IPv6, made when they are first used. Names
/// are looked up by the machine's own resolver; meanwhile a few datagrams wait.
class DirectDatagrams final : public net::DatagramProxy {
 public:
  static constexpr size_t kMaxNames = 64;  ///< remembered by an association; then all are forgotten
  static constexpr size_t kMaxWaiting = 16;  ///< datagrams; the oldest goes
  static constexpr size_t kMaxWaitingBytes = size_t{128} * 1024;  ///< if the memory budget allows

  /// Dropped datagrams.
  struct Drops {
    uint64_t waiting = 0;     ///< too many waited for a name
    uint64_t unresolved = 0;  ///< the name has no address
    uint64_t no_socket = 0;   ///< there is none of that family, or no descriptor now
    uint64_t unsent = 0;      ///< the kernel did not take it
  };

  /// `prepare` may be empty. REQUIRES: `loop` outlives the sessions.
  DirectDatagrams(Loop& loop, PrepareSocket prepare) : loop_(loop), prepare_(std::move(prepare)) {}

  std::unique_ptr<net::Attempt> associate(
      net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
      net::Done<std::unique_ptr<net::DatagramSession>> done) override;

  const Drops& drops() const { return drops_; }

 private:
  class Session;
  class Opening;

  Loop& loop_;
  const PrepareSocket prepare_;
  Drops drops_;
};

}  // namespace tunproxy::io
