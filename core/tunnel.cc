#include "core/tunnel.h"

#include <fmt/format.h>

#include <utility>

#include "core/base/log.h"
#include "core/dns/resolv_conf.h"
#include "core/ssh/user_login.h"

namespace tunproxy {
namespace {

constexpr const char* kReadResolvConf = "cat /etc/resolv.conf";

// Where a server's own resolver most likely listens, for accounts that may not run a command.
std::vector<Endpoint> usual_resolvers() {
  return {*Endpoint::parse("127.0.0.53:53"), *Endpoint::parse("127.0.0.1:53")};
}

}  // namespace

Tunnel::Tunnel(io::Loop& loop, const Config& config, Platform platform)
    : loop_(loop), config_(config), platform_(std::move(platform)) {}

// The flows go before what carries them.
Tunnel::~Tunnel() {
  engine_.reset();
  server_.reset();
  forwarder_.reset();
}

void Tunnel::start(net::Done<void> done) {
  if (config_.ssh) {
    start_ssh(std::move(done));
  } else {
    start_socks5(std::move(done));
  }
}

void Tunnel::start_ssh(net::Done<void> done) {
  credentials_ = std::make_shared<ssh::Credentials>();
  ssh::SupervisorOptions options;
  options.server = config_.ssh->server;
  options.dial.prepare = platform_.prepare_socket;
  options.make_login = [this] { return make_login(); };
  ssh_ = std::make_unique<ssh::Supervisor>(loop_, std::move(options));
  ssh_->on_state([this](auto state, const Error* error) { ssh_state(state, error); });
  ssh_->start([this, done = std::move(done)](Result<void> started) {
    if (!started) return done(started.error());
    learn_resolvers(done);
  });
}

void Tunnel::start_socks5(net::Done<void> done) {
  socks5::ClientOptions options;
  options.dial.prepare = platform_.prepare_socket;
  socks5_ = std::make_unique<socks5::Client>(loop_, *config_.socks5, std::move(options));
  attempt_ = socks5_->probe([this, done = std::move(done)](Result<void> probed) {
    if (!probed) return done(probed.error());
    // Without --dns the resolver that a program asks is the one that is asked through the proxy.
    use_resolvers(config_.dns ? std::vector<Endpoint>{*config_.dns} : std::vector<Endpoint>{});
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
      break;
    case ssh::Supervisor::State::failed:
      if (failed_ && redirect_ != nullptr) failed_(*error);  // before that, start() reports it
      break;
    case ssh::Supervisor::State::idle:
    case ssh::Supervisor::State::connecting:
      break;
  }
}

std::unique_ptr<ssh::Login> Tunnel::make_login() const {
  ssh::UserLoginOptions options;
  options.host = config_.ssh->server.host();
  options.port = config_.ssh->server.port();
  options.user = config_.ssh->user;
  options.identities = config_.identities;
  options.home = platform_.home;
  options.known_hosts = config_.known_hosts;
  options.policy = config_.host_keys.value_or(
      platform_.prompter != nullptr ? ssh::HostKeyPolicy::ask : ssh::HostKeyPolicy::strict);
  options.prompter = platform_.prompter;
  options.credentials = credentials_;
  return std::make_unique<ssh::UserLogin>(std::move(options));
}

void Tunnel::learn_resolvers(net::Done<void> done) {
  if (config_.dns || !config_.tun) {
    use_resolvers(config_.dns ? std::vector<Endpoint>{*config_.dns} : usual_resolvers());
    return done({});
  }
  attempt_ = ssh_->exec(kReadResolvConf, [this, done = std::move(done)](auto result) {
    std::vector<Endpoint> found;
    if (result) found = dns::parse_resolv_conf(result->output);
    if (found.empty()) {
      log::warn(
          "the server does not tell its resolver ({}): trying its 127.0.0.53 and 127.0.0.1; "
          "--dns ADDR names another",
          result ? "its resolv.conf names none" : result.error().message);
      found = usual_resolvers();
    }
    use_resolvers(std::move(found));
    done({});
  });
}

void Tunnel::use_resolvers(std::vector<Endpoint> resolvers) {
  resolvers_ = std::move(resolvers);
  redirect_ = std::make_unique<dns::Redirect>(way_out(), resolvers_);
  forwarder_ = std::make_unique<dns::Forwarder>(loop_, way_out(), resolvers_);
}

net::Proxy& Tunnel::way_out() {
  if (ssh_ != nullptr) return *ssh_;
  return *socks5_;
}

Result<void> Tunnel::serve_socks(const Endpoint& at) {
  auto server = socks5::Server::listen(loop_, at, way_out());
  if (!server) return server.error();
  server_ = std::move(*server);
  return {};
}

Result<void> Tunnel::serve_packets(tun2socks::PacketDevice& device) {
  auto engine = tun2socks::Engine::create(loop_, device, *redirect_, forwarder_.get());
  if (!engine) return engine.error();
  engine_ = std::move(*engine);
  return {};
}

std::string Tunnel::summary() const {
  std::vector<std::string> names;
  for (const Endpoint& resolver : resolvers_) names.push_back(resolver.address.to_string());
  const std::string dns = names.empty() ? "the resolver that each program asks"
                                        : fmt::format("{}", fmt::join(names, ", "));
  if (config_.ssh) {
    return fmt::format(
        "tunnel up: SSH {}@{}; TCP: direct-tcpip; UDP: none (port unreachable); "
        "DNS: over TCP to {}",
        config_.ssh->user, config_.ssh->server.to_string(), dns);
  }
  return fmt::format(
      "tunnel up: SOCKS5 {}; TCP: CONNECT; UDP: none (port unreachable); "
      "DNS: over TCP to {}",
      config_.socks5->to_string(), dns);
}

}  // namespace tunproxy
