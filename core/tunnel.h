// Tunnel: the composed product. One way out (an SSH server or a SOCKS5 server), and ways in over
// it: a packet device, a SOCKS5 listener, or both.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/datagram_lane.h"
#include "core/dns/fake_names.h"
#include "core/dns/fake_redirect.h"
#include "core/dns/fake_table.h"
#include "core/dns/forwarder.h"
#include "core/dns/redirect.h"
#include "core/io/loop.h"
#include "core/io/tcp.h"
#include "core/name_lane.h"
#include "core/socks5/client.h"
#include "core/socks5/server.h"
#include "core/ssh/auth_credentials.h"
#include "core/ssh/prompter.h"
#include "core/ssh/supervisor.h"
#include "tun2socks/engine.h"

namespace tunproxy {

/// Lives in one loop thread. Order: start(), and once that succeeded serve_socks() and
/// serve_packets().
class Tunnel {
 public:
  /// What the platform supplies.
  struct Platform {
    ssh::Prompter* prompter = nullptr;  ///< nobody to ask if null; outlives the tunnel
    io::PrepareSocket prepare_socket;   ///< for every outer socket
  };

  Tunnel(io::Loop& loop, const Config& config, Platform platform);
  /// REQUIRES: no callback is running.
  ~Tunnel();
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  /// Connects and logs in. An Error says why that is impossible.
  void start(net::Done<void> done);
  /// Called when the way out (a changed host key, a refused login) or the device is lost for good.
  void on_failed(std::function<void(const Error&)> failed) { failed_ = std::move(failed); }

  /// REQUIRES: started
  Result<void> serve_socks(const Endpoint& at);
  /// REQUIRES: started; `device` outlives the tunnel.
  Result<void> serve_packets(tun2socks::PacketDevice& device);

  /// One line for people: the way out and the ways in.
  std::string summary() const;

 private:
  void start_ssh(net::Done<void> done);
  void start_socks5(net::Done<void> done);
  void ssh_state(ssh::Supervisor::State state, const Error* error);
  void start_lane();
  ssh::SupervisorOptions ssh_options(ssh::Prompter* prompter);
  Result<std::unique_ptr<ssh::Login>> make_login(ssh::Prompter* prompter) const;
  net::DatagramProxy* datagrams();
  void resolve_at_server();
  void resolve_through(std::optional<std::vector<Endpoint>> resolvers);
  net::Proxy& way_out();
  net::Proxy& way_out_by_name();
  net::NameService& names();

  io::Loop& loop_;
  const Config config_;
  const Platform platform_;
  std::function<void(const Error&)> failed_;
  std::shared_ptr<ssh::Credentials> credentials_;
  std::unique_ptr<ssh::Supervisor> ssh_;
  std::unique_ptr<socks5::Client> socks5_;
  std::unique_ptr<net::Attempt> attempt_;
  std::unique_ptr<dns::FakeTable> fake_table_;  // this and what follows from it: --dns fake
  std::unique_ptr<dns::FakeRedirect> fake_redirect_;
  std::unique_ptr<dns::FakeDatagrams> fake_datagrams_;
  std::unique_ptr<dns::FakeNames> fake_names_;
  std::unique_ptr<dns::Redirect> redirect_;
  std::unique_ptr<dns::Forwarder> forwarder_;
  std::unique_ptr<DatagramLane> lane_;
  std::unique_ptr<NameLane> names_;
  std::unique_ptr<socks5::Server> server_;
  std::unique_ptr<tun2socks::Engine> engine_;
};

}  // namespace tunproxy
