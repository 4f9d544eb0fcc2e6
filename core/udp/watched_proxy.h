// WatchedProxy: whether a DatagramProxy carries anything, as its associations turn out: for one
// that cannot say so itself (a SOCKS5 server).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/io/loop.h"
#include "core/net/datagram_proxy.h"

namespace tunproxy::udp {

/// Passes everything on. A proxy that refuses stays asked by each new association, so it is noticed
/// when that ends.
///
///   unknown ──an association──► carried ⇄ refused
///
/// Lives in one loop thread. REQUIRES: `proxy` outlives it; it outlives its attempts
class WatchedProxy final : public net::DatagramProxy {
 public:
  enum class State : uint8_t { unknown, carried, refused };

  WatchedProxy(io::Loop& loop, net::DatagramProxy& proxy) : loop_(loop), proxy_(proxy) {}

  /// Called from the loop, after each change of state(), or of why_not() while it is unknown.
  void on_state(std::function<void(State)> changed) { changed_ = std::move(changed); }
  /// Opens an association, only to see, and closes it.
  void probe();

  State state() const { return state_; }
  /// For people: why it refuses, or why that is not known; may be empty.
  const std::string& why_not() const { return why_not_; }

  std::unique_ptr<net::Attempt> associate(
      net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
      net::Done<std::unique_ptr<net::DatagramSession>> done) override;

 private:
  void turned_out(const Result<std::unique_ptr<net::DatagramSession>>& session);
  void way_lost(const Error& error);

  io::Loop& loop_;
  net::DatagramProxy& proxy_;
  State state_ = State::unknown;
  std::string why_not_;
  std::function<void(State)> changed_;
  std::unique_ptr<net::Attempt> probe_;
};

}  // namespace tunproxy::udp
