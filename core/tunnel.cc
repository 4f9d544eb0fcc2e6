#include "core/tunnel.h"

#include <fmt/format.h>

#include <random>
#include <utility>

#include "core/base/log.h"
#include "core/dns/resolv_conf.h"
#include "core/listener_options.h"
#include "core/ssh/user_login.h"

namespace tunproxy {
namespace {

constexpr Duration kDeadAfter = 45s;  // an SSH server that is silent for so long is gone
// A banner of the account may lack its newline.
constexpr const char* kReadResolvConf = "echo; cat /etc/resolv.conf";

// Where a server's own resolver most likely listens, for accounts that may not run a command.
std::vector<Endpoint> usual_resolvers() {
  return {*Endpoint::parse("127.0.0.53:53"), *Endpoint::parse("127.0.0.1:53")};
}

std::string list(const std::vector<Endpoint>& resolvers) {
  std::vector<std::string> names;
  for (const Endpoint& resolver : resolvers) names.push_back(resolver.address.to_string());
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

Tunnel::Tunnel(io::Loop& loop, const Config& config, Platform platform)
    : loop_(loop), config_(config), platform_(std::move(platform)) {}

// The flows go before what carries them.
Tunnel::~Tunnel() {
  engine_.reset();
  server_.reset();
  loop_.destroy_retired();  // flows that ended in this batch still refer to what goes next
  fake_names_.reset();
  fake_datagrams_.reset();
  names_.reset();
  lane_.reset();
  forwarder_.reset();
  redirect_.reset();
  attempt_.reset();
}

void Tunnel::start(net::Done<void> done) {
  if (config_.ssh.server) {
    start_ssh(std::move(done));
  } else {
    start_socks5(std::move(done));
  }
}

void Tunnel::start_ssh(net::Done<void> done) {
  credentials_ = std::make_shared<ssh::Credentials>();
  ssh_ = std::make_unique<ssh::Supervisor>(loop_, ssh_options(platform_.prompter));
  ssh_->on_state([this](auto state, const Error* error) { ssh_state(state, error); });
  ssh_->start([this, done = std::move(done)](Result<void> started) {
    if (started) {
      resolve_at_server();
      start_lane();
    }
    done(std::move(started));
  });
}

ssh::SupervisorOptions Tunnel::ssh_options(ssh::Prompter* prompter) {
  ssh::SupervisorOptions options;
  options.server = config_.ssh.server->server;
  options.dial.prepare = [prepare = platform_.prepare_socket](int fd) -> Result<void> {
    if (auto alive = io::notice_dead_peer(fd, kDeadAfter); !alive) return alive;
    return prepare ? prepare(fd) : Result<void>();
  };
  options.make_login = [this, prompter] { return make_login(prompter); };
  return options;
}

// It logs in with what the user answered for the first connection, and never asks.
void Tunnel::start_lane() {
  if (config_.udp == UdpCarrier::none) return;
  ssh::SupervisorOptions options = ssh_options(nullptr);
  options.addresses = ssh_->addresses();
  lane_ =
      std::make_unique<DatagramLane>(loop_, *ssh_, std::move(options), carrier_options(config_));
  names_ = std::make_unique<NameLane>(lane_->carrier(), *forwarder_);
  lane_->start();
}

void Tunnel::start_socks5(net::Done<void> done) {
  socks5::ClientOptions options;
  options.dial.prepare = platform_.prepare_socket;
  socks5_ = std::make_unique<socks5::Client>(loop_, *config_.socks5.server, std::move(options));
  attempt_ = socks5_->probe([this, done = std::move(done)](Result<void> probed) {
    if (!probed) return done(probed.error());
    // Without --dns the resolver that a program asks is the one that is asked through the proxy.
    resolve_through(config_.dns.resolver ? std::vector<Endpoint>{*config_.dns.resolver}
                                         : std::vector<Endpoint>{});
    done({});
  });
}

void Tunnel::ssh_state(ssh::Supervisor::State state, const Error* error) {
  switch (state) {
    case ssh::Supervisor::State::reconnecting:
      log::warn("the SSH connection is lost ({}); traffic waits while a new one is made",
                error->message);
      break;
    case ssh::Supervisor::State::online:
      log::info("the SSH connection is up");
      if (lane_) lane_->shared_online();
      break;
    case ssh::Supervisor::State::failed:
      if (failed_ && redirect_ != nullptr) failed_(*error);  // before that, start() reports it
      break;
    case ssh::Supervisor::State::idle:
    case ssh::Supervisor::State::connecting:
    case ssh::Supervisor::State::authenticating:
    case ssh::Supervisor::State::stopped:
      break;
  }
}

Result<std::unique_ptr<ssh::Login>> Tunnel::make_login(ssh::Prompter* prompter) const {
  ssh::UserLoginOptions options;
  options.host = config_.ssh.server->server.host();
  options.port = config_.ssh.server->server.port();
  options.user = config_.ssh.server->user;
  options.identity_files = config_.ssh.login.identities;
  options.known_hosts_files = config_.ssh.login.known_hosts;
  if (config_.ssh.login.host_keys) options.host_key_policy = *config_.ssh.login.host_keys;
  options.prompter = prompter;
  options.credentials = credentials_;
  auto login = ssh::UserLogin::create(std::move(options));
  if (!login) return login.error();
  return std::unique_ptr<ssh::Login>(std::move(*login));
}

// Queries that come before the server's resolver is known wait for it.
void Tunnel::resolve_at_server() {
  if (config_.dns.resolver) return resolve_through(std::vector<Endpoint>{*config_.dns.resolver});
  resolve_through(std::nullopt);
  if (!config_.tun) return;
  attempt_ = ssh_->exec(kReadResolvConf, [this](Result<ssh::ExecResult> result) {
    attempt_.reset();
    std::vector<Endpoint> found;
    if (result) found = dns::parse_resolv_conf(result->output);
    if (found.empty()) {
      log::warn(
          "the server does not tell its resolver ({}): trying its 127.0.0.53 and 127.0.0.1; "
          "--dns ADDR names another",
          result ? "no nameserver in its resolv.conf" : result.error().message);
      found = usual_resolvers();
    }
    log::info("names are resolved at the server, by {}{}", list(found),
              config_.dns.fake ? "; hosts by whoever connects to them there" : "");
    redirect_->set_resolvers(found);
    forwarder_->set_resolvers(std::move(found));
  });
}

void Tunnel::resolve_through(std::optional<std::vector<Endpoint>> resolvers) {
  if (config_.dns.fake) {
    fake_table_ = std::make_unique<dns::FakeTable>(std::random_device{}());
    fake_redirect_ = std::make_unique<dns::FakeRedirect>(loop_, *fake_table_, way_out());
  }
  redirect_ = std::make_unique<dns::Redirect>(loop_, way_out_by_name(), resolvers);
  forwarder_ = std::make_unique<dns::Forwarder>(loop_, way_out(), std::move(resolvers));
}

net::Proxy& Tunnel::way_out() {
  if (ssh_ != nullptr) return *ssh_;
  return *socks5_;
}

net::Proxy& Tunnel::way_out_by_name() {
  if (fake_redirect_) return *fake_redirect_;
  return way_out();
}

Result<void> Tunnel::serve_socks(const Endpoint& at) {
  auto options = listener_options(config_.listener, at);
  if (!options) return options.error();
  auto server = socks5::Server::listen(loop_, at, way_out_by_name(), *std::move(options));
  if (!server) return server.error();
  server_ = std::move(*server);
  server_->carry_datagrams(datagrams());
  return {};
}

net::DatagramProxy* Tunnel::datagrams() {
  if (config_.udp == UdpCarrier::none) return nullptr;
  net::DatagramProxy* carrier = socks5_.get();
  if (lane_) carrier = &lane_->carrier();
  if (!fake_table_) return carrier;
  if (!fake_datagrams_) {
    fake_datagrams_ = std::make_unique<dns::FakeDatagrams>(loop_, *fake_table_, *carrier);
  }
  return fake_datagrams_.get();
}

net::NameService& Tunnel::names() {
  // Another resolver than the server's is asked over TCP; the relay would ask the server's own.
  net::NameService* resolver = forwarder_.get();
  if (names_ && !config_.dns.resolver) resolver = names_.get();
  if (!fake_table_) return *resolver;
  if (!fake_names_) fake_names_ = std::make_unique<dns::FakeNames>(loop_, *fake_table_, *resolver);
  return *fake_names_;
}

Result<void> Tunnel::serve_packets(tun2socks::PacketDevice& device) {
  tun2socks::EngineOptions options;
  options.udp_associations = config_.udp_associations;
  options.udp_idle = std::chrono::seconds(config_.udp_idle);
  auto engine =
      tun2socks::Engine::create(loop_, device, *redirect_, &names(), datagrams(), options);
  if (!engine) return engine.error();
  engine_ = std::move(*engine);
  engine_->start([this](const Error& error) {
    if (failed_) failed_(error);
  });
  return {};
}

std::string Tunnel::summary() const {
  const std::string out = config_.ssh.server
                              ? fmt::format("SSH {}@{}", config_.ssh.server->user,
                                            config_.ssh.server->server.to_string())
                              : fmt::format("SOCKS5 {}", config_.socks5.server->to_string());
  std::string ways_in;
  if (server_) ways_in += fmt::format("; SOCKS5 listener on {}", server_->local().to_string());
  if (engine_) ways_in += "; TUN";
  return fmt::format("tunnel up: {}{}", out, ways_in);
}

}  // namespace tunproxy
