// Socks5WayOut: the way out over a SOCKS5 server.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/dns/datagram_forwarder.h"
#include "core/dns/forwarder.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/outside_names.h"
#include "core/socks5/client.h"
#include "core/ssh/backoff.h"
#include "core/status_line.h"
#include "core/tls/context.h"
#include "core/udp/watched_proxy.h"
#include "core/way_out.h"

namespace tunproxy {

/// One connection to the server for each flow; there is none to lose.
class Socks5WayOut final : public WayOut {
 public:
  /// REQUIRES: all outlive it.
  Socks5WayOut(io::Loop& loop, const Config& config, const Platform& platform);
  ~Socks5WayOut() override;

  void enforce_there(std::vector<rules::FarRule>) override {}
  void start(net::Done<void> done) override;
  void on_state(OnState changed) override { changed_ = std::move(changed); }

  net::Proxy& streams() override { return *client_; }
  net::Proxy& streams_of(const std::string&) override { return *client_; }
  net::DatagramProxy* datagrams() override { return datagrams_.get(); }
  net::NameService* names() override;

  Result<void> reload() override;
  void network_changed() override;
  void pause() override {}
  void wake() override {}

  std::string name() const override;
  void describe(control::TunnelStatus& status) const override;

 private:
  Result<socks5::ClientOptions> client_options();
  Result<void> load_certificates();
  std::vector<Endpoint> resolvers() const;
  void probe();
  void probed(Result<void> outcome);
  void started();
  bool carried() const;
  void tell();
  void tell_state(TunnelState state, const Error* error);

  io::Loop& loop_;
  const Config& config_;
  const Platform& platform_;
  OutsideNames outside_names_;
  OnState changed_;
  std::shared_ptr<tls::ClientContext> certificates_;  // of the next connection; nullptr: no TLS
  StatusLine status_line_;
  std::unique_ptr<socks5::Client> client_;
  net::Done<void> done_;  // set: the server has not answered yet
  std::unique_ptr<net::Attempt> attempt_;
  ssh::Backoff backoff_;
  io::Timer pause_;  // between probes
  std::unique_ptr<dns::Forwarder> forwarder_;
  std::unique_ptr<udp::WatchedProxy> datagrams_;
  std::unique_ptr<dns::DatagramForwarder> names_by_udp_;
};

}  // namespace tunproxy
