// A UDP socket: bound, not connected, so that it talks with any number of peers.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/base/unique_fd.h"
#include "core/io/fd_watcher.h"
#include "core/io/loop.h"
#include "core/io/tcp.h"

namespace tunproxy::io {

/// Lives in one loop thread. Errors of single datagrams, such as a peer that refuses, are counted
/// and do not end it. It must not be destroyed from its own callback: Loop::retire().
class UdpSocket {
 public:
  static constexpr size_t kMaxPayload = 65507;  ///< of a datagram that IPv4 and IPv6 can carry
  static constexpr size_t kBatch = 32;          ///< datagrams that one system call moves

  struct Datagram {
    Endpoint peer;
    Bytes payload;
  };
  /// `payload` is valid during the call.
  using OnDatagram = std::function<void(const Endpoint& from, Bytes payload)>;

  /// Port 0 takes a free port; see local(). An IPv6 socket carries IPv6 alone. `prepare` may be
  /// empty. The error is that of the failed system call.
  static Result<std::unique_ptr<UdpSocket>> bind(Loop& loop, const Endpoint& at,
                                                 OnDatagram on_datagram,
                                                 const PrepareSocket& prepare = {});
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  Endpoint local() const;
  /// Sends at once or not at all; false if the kernel did not take it (then it is counted).
  /// REQUIRES: the peer's family is the socket's
  bool send(const Endpoint& to, Bytes payload);
  /// The same for many, in order, with few system calls; returns how many the kernel took.
  size_t send(std::span<const Datagram> datagrams);
  uint64_t unsent() const { return unsent_; }

 private:
  UdpSocket(Loop& loop, UniqueFd socket, OnDatagram on_datagram);
  void on_readable();
  size_t receive();
  size_t send_some(std::span<const Datagram> datagrams);

  UniqueFd socket_;
  OnDatagram on_datagram_;
  uint64_t unsent_ = 0;
  FdWatcher watcher_;
};

}  // namespace tunproxy::io
