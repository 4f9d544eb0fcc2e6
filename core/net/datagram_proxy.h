// DatagramProxy: SOCKS5's UDP ASSOCIATE as an interface (RFC 1928 §7). Implemented by whatever
// carries datagrams: a relay helper at an SSH server, a udpgw, a SOCKS5 server.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/net/proxy.h"

namespace tunproxy::net {

/// One association: a socket of its own at the far end, from which datagrams go to any number of
/// targets. Destroying it closes the association. Not from within its own callbacks:
/// Loop::retire().
class DatagramSession {
 public:
  DatagramSession() = default;
  DatagramSession(const DatagramSession&) = delete;
  DatagramSession& operator=(const DatagramSession&) = delete;
  virtual ~DatagramSession() = default;

  /// Sends at once or not at all: drops (and its owner counts) when a queue is full. Never blocks.
  /// `payload` may have up to 65507 bytes, and none.
  virtual void send(const Target& to, Bytes payload) = 0;
  /// What carries it, for counters: "relay", "udpgw", "socks5", "direct". A literal.
  virtual std::string_view carrier() const { return "other"; }
  /// Why nothing can be sent to `to`, as far as that is known now (not_allowed: rules forbid it);
  /// nullopt: nothing is in the way. What is sent all the same is dropped. For those who can tell
  /// the sender.
  virtual std::optional<ErrorCode> refuses(const Target& to) {
    (void)to;
    return std::nullopt;
  }
};

/// A datagram came for the association; `from` is its real sender. `payload` is valid during the
/// call.
using OnDatagram = std::function<void(const Endpoint& from, Bytes payload)>;
/// The association is gone for good (once); nothing comes after it.
using OnAssociationClosed = std::function<void(const Error& error)>;

class DatagramProxy {
 public:
  DatagramProxy() = default;
  DatagramProxy(const DatagramProxy&) = delete;
  DatagramProxy& operator=(const DatagramProxy&) = delete;
  virtual ~DatagramProxy() = default;

  /// UDP ASSOCIATE. `on_datagram` and `on_closed` are called from the loop, never before `done` was
  /// and never after the session was destroyed. Error command_not_supported: UDP cannot be carried.
  /// REQUIRES: the proxy outlives the attempt and the session.
  virtual std::unique_ptr<Attempt> associate(OnDatagram on_datagram, OnAssociationClosed on_closed,
                                             Done<std::unique_ptr<DatagramSession>> done) = 0;
};

}  // namespace tunproxy::net
