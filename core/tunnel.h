// Tunnel: the composed product. One way out (an SSH server or a SOCKS5 server), rules and an
// account in front of it, and ways in: a packet device, a listener for SOCKS and HTTP CONNECT, or
// both.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/config.h"
#include "core/control/status.h"
#include "core/dns/fake_names.h"
#include "core/dns/fake_table.h"
#include "core/dns/redirect.h"
#include "core/gate/observing_names.h"
#include "core/gated_way.h"
#include "core/io/loop.h"
#include "core/listener.h"
#include "core/oversight.h"
#include "core/way_out.h"
#include "tun2socks/engine.h"

namespace tunproxy {

/// Lives in one loop thread. Order: start(), and once that succeeded serve_socks() and
/// serve_packets().
class Tunnel final : private control::StatusSource, private tun2socks::FlowWatcher {
 public:
  /// REQUIRES: resolve_ssh() has made the path of `config`, if SSH is the way out.
  Tunnel(io::Loop& loop, const Config& config, Platform platform);
  /// REQUIRES: no callback is running.
  ~Tunnel() override;

  /// Connects and logs in. An Error says why that is impossible.
  void start(net::Done<void> done);
  /// Called when the way out (a changed host key, a refused login) or the device is lost for good.
  void on_failed(std::function<void(const Error&)> failed) { failed_ = std::move(failed); }
  /// Called after each change of state; the error is what ended the last connection, or everything,
  /// or nullptr.
  void on_state(WayOut::OnState changed) { changed_ = std::move(changed); }

  /// REQUIRES: started
  Result<void> serve_socks(const Endpoint& at);
  /// REQUIRES: started; `device` outlives the tunnel.
  Result<void> serve_packets(tun2socks::PacketDevice& device);

  /// The network below changed: connections are checked at once.
  void network_changed() { out_->network_changed(); }
  /// No probes are sent, and nothing is given up, until wake().
  void pause() { out_->pause(); }
  void wake() { out_->wake(); }
  void memory_pressure(MemoryPressure pressure);
  /// Reads the files of rules, users and certificates again, and begins the access log's anew. The
  /// Error says of each that is bad what is wrong with it, and what stays as it was; flows go on.
  Result<void> reload();

  /// One line for people: the way out and the ways in.
  std::string summary() const;
  control::TunnelStatus status() const override;
  /// nullptr before start().
  const account::Account* account() const;
  /// All 0 without a packet device.
  tun2socks::EngineStats packet_stats() const;
  Instant now() const { return loop_.now(); }

 private:
  void before_flow(bool udp, const Endpoint& program, const Endpoint& target) override;
  void after_flow() override;
  void set_state(TunnelState next, const Error* error);
  void connected();
  void cap_memory(size_t divisor);

  io::Loop& loop_;
  const Config config_;
  const Platform platform_;
  std::function<void(const Error&)> failed_;
  WayOut::OnState changed_;
  const Instant made_;
  TunnelState state_ = TunnelState::idle;
  bool started_ = false;
  std::unique_ptr<Oversight> oversight_;
  std::unique_ptr<WayOut> out_;
  std::unique_ptr<dns::FakeTable> fake_table_;  // --dns fake
  std::unique_ptr<dns::FakeNames> fake_names_;
  std::unique_ptr<gate::ObservingNames> names_;  // nullptr: there is nobody to ask
  std::unique_ptr<GatedWay> packets_way_;
  std::unique_ptr<dns::Redirect> redirect_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<tun2socks::Engine> engine_;
};

}  // namespace tunproxy
