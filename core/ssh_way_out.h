// SshWayOut: the way out over an SSH server.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/config.h"
#include "core/datagram_lane.h"
#include "core/dns/datagram_forwarder.h"
#include "core/dns/forwarder.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/name_lane.h"
#include "core/outside_names.h"
#include "core/session_groups.h"
#include "core/ssh/accepted_keys.h"
#include "core/ssh/auth_credentials.h"
#include "core/ssh/pool.h"
#include "core/ssh_way.h"
#include "core/status_line.h"
#include "core/way_out.h"

namespace tunproxy {

/// A pool of connections for streams, one of its own for datagrams and names, and those that
/// `--isolate` asks for. Only the login of the first asks the user; the others repeat his answers.
class SshWayOut final : public WayOut {
 public:
  /// REQUIRES: resolve_ssh() has made the path of `config`; all outlive it.
  SshWayOut(io::Loop& loop, const Config& config, const Platform& platform);
  ~SshWayOut() override;

  void enforce_there(std::vector<rules::FarRule> rules) override;
  void start(net::Done<void> done) override;
  void on_state(OnState changed) override { changed_ = std::move(changed); }

  net::Proxy& streams() override;
  net::Proxy& streams_of(const std::string& group) override;
  net::DatagramProxy* datagrams() override;
  net::NameService* names() override;

  void network_changed() override;
  void pause() override;
  void wake() override;

  std::string name() const override;
  void describe(control::TunnelStatus& status) const override;

 private:
  const SshHost& server() const { return config_.ssh.path.back(); }
  Result<void> make_way();
  ssh::SupervisorOptions connection(const SshHost& host);
  ssh::SupervisorOptions to_server();
  ssh::SupervisorOptions quiet_to_server();
  ssh::PoolOptions pool_options();
  Result<std::unique_ptr<ssh::Login>> make_login(const SshHost& host, ssh::Prompter* prompter);
  Result<std::unique_ptr<ssh::Login>> make_quiet_login();
  void connected();
  void learn_resolver();
  void learn_later();
  void on_resolv_conf(const Result<ssh::ExecResult>& result);
  void resolvers_known(std::vector<Endpoint> resolvers);
  void start_lane();
  std::string names_text() const;
  void tell();
  void pool_state(ssh::Pool::State state, const Error* error);
  void tell_state(TunnelState state, const Error* error);

  io::Loop& loop_;
  const Config& config_;
  const Platform& platform_;
  OutsideNames outside_names_;
  OnState changed_;
  std::vector<rules::FarRule> far_rules_;
  std::vector<Endpoint> resolvers_;  // none: not known yet
  StatusLine status_line_;
  // What the user answered for each host of the path.
  std::vector<std::shared_ptr<ssh::Credentials>> credentials_;
  const std::shared_ptr<ssh::AcceptedKeys> accepted_keys_ = std::make_shared<ssh::AcceptedKeys>();
  const std::shared_ptr<ssh::WindowShare> windows_;  // of all connections
  std::unique_ptr<SshWay> way_;
  std::unique_ptr<ssh::Pool> pool_;
  SessionGroups groups_;
  GroupedProxy by_destination_;
  std::map<std::string, std::unique_ptr<GroupedProxy>> by_group_;
  std::unique_ptr<net::Attempt> attempt_;
  bool paused_ = false;
  bool learn_due_ = false;  // when it wakes
  io::Timer learn_again_;
  std::unique_ptr<dns::Forwarder> forwarder_;
  std::unique_ptr<DatagramLane> lane_;
  std::unique_ptr<NameLane> server_names_;
  std::unique_ptr<dns::DatagramForwarder> names_by_udp_;
};

}  // namespace tunproxy
