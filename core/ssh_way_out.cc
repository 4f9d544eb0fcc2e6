#include "core/ssh_way_out.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "core/base/log.h"
#include "core/config_ssh.h"
#include "core/dns/resolv_conf.h"
#include "core/ssh/user_login.h"

namespace tunproxy {
namespace {

constexpr Duration kLearnAgain = 30s;  // after a question for its resolver that failed
// A banner of the account may lack its newline.
constexpr const char* kReadResolvConf = "echo; cat /etc/resolv.conf";

// Where a server's own resolver most likely listens, for accounts that may not run a command.
std::vector<Endpoint> usual_resolvers() {
  return {*Endpoint::parse("127.0.0.53:53"), *Endpoint::parse("127.0.0.1:53")};
}

TunnelState tunnel_state(ssh::Pool::State state) {
  switch (state) {
    case ssh::Pool::State::idle:
      return TunnelState::idle;
    case ssh::Pool::State::connecting:
      return TunnelState::connecting;
    case ssh::Pool::State::authenticating:
      return TunnelState::authenticating;
    case ssh::Pool::State::online:
      return TunnelState::online;
    case ssh::Pool::State::reconnecting:
      return TunnelState::reconnecting;
    case ssh::Pool::State::stopped:
      return TunnelState::stopped;
    case ssh::Pool::State::failed:
      break;
  }
  return TunnelState::failed;
}

}  // namespace

SshWayOut::SshWayOut(io::Loop& loop, const Config& config, const Platform& platform)
    : loop_(loop),
      config_(config),
      platform_(platform),
      outside_names_(loop, platform),
      windows_(std::make_shared<ssh::WindowShare>(loop.memory())),
      groups_(loop, {[this] { return quiet_to_server(); }}),
      by_destination_(loop, groups_, [](const Target& target) { return target.host(); }),
      learn_again_(loop, [this] { learn_resolver(); }) {
  for (size_t i = 0; i < config.ssh.path.size(); ++i) {
    credentials_.push_back(std::make_shared<ssh::Credentials>());
  }
}

// What uses a connection goes before it.
SshWayOut::~SshWayOut() {
  names_by_udp_.reset();
  server_names_.reset();
  lane_.reset();
  forwarder_.reset();
  attempt_.reset();
}

void SshWayOut::start(net::Done<void> done) {
  if (auto made = make_way(); !made) return done(made.error());
  pool_ = std::make_unique<ssh::Pool>(loop_, pool_options());
  pool_->on_state([this](auto state, const Error* error) { pool_state(state, error); });
  forwarder_ = std::make_unique<dns::Forwarder>(loop_, pool_->expedited(), std::nullopt);
  way_->start([this, done = std::move(done)](Result<void> reached) {
    if (!reached) {
      tell_state(TunnelState::failed, &reached.error());
      return done(std::move(reached));
    }
    pool_->start([this, done](Result<void> started) {
      if (started) connected();
      done(std::move(started));
    });
  });
}

Result<void> SshWayOut::make_way() {
  const SshWay::Outside outside{platform_.prepare_socket, platform_.prepare_child,
                                outside_names_.look_up()};
  auto way = SshWay::create(loop_, config_.ssh, outside, [this](const SshHost& host) {
    ssh::SupervisorOptions options = connection(host);
    options.keep_trying = config_.keep_trying;
    return options;
  });
  if (!way) return way.error();
  way_ = std::move(*way);
  way_->on_start_state(
      [this](ssh::Supervisor::State state) { tell_state(tunnel_state(state), nullptr); });
  way_->on_failed([this](const Error& error) { tell_state(TunnelState::failed, &error); });
  return {};
}

ssh::SupervisorOptions SshWayOut::connection(const SshHost& host) {
  ssh::SupervisorOptions options;
  options.server = host.server;
  options.dial.prepare = platform_.prepare_socket;
  options.dial.look_up_again = outside_names_.look_up();
  options.make_login = [this, &host] { return make_login(host, platform_.prompter); };
  options.session.algorithms = host.login.algorithms;
  options.session.windows = windows_;
  options.keepalive =
      std::chrono::seconds(config_.ssh.keepalive.value_or(Config::kDefaultKeepalive));
  return options;
}

ssh::SupervisorOptions SshWayOut::to_server() {
  ssh::SupervisorOptions options = connection(server());
  options.way = way_->proxy();
  return options;
}

// It logs in with what the user answered for the first connection, and never asks.
ssh::SupervisorOptions SshWayOut::quiet_to_server() {
  ssh::SupervisorOptions options = to_server();
  options.addresses = pool_->addresses();
  options.make_login = [this] { return make_quiet_login(); };
  return options;
}

ssh::PoolOptions SshWayOut::pool_options() {
  ssh::PoolOptions options;
  options.session = to_server();
  options.session.keep_trying = config_.keep_trying;
  options.make_quiet_login = [this] { return make_quiet_login(); };
  options.sessions = config_.most_sessions();
  return options;
}

Result<std::unique_ptr<ssh::Login>> SshWayOut::make_login(const SshHost& host,
                                                          ssh::Prompter* prompter) {
  ssh::UserLoginOptions options = login_options(host);
  options.prompter = prompter;
  options.accepted_keys = accepted_keys_;
  options.credentials = credentials_[static_cast<size_t>(&host - config_.ssh.path.data())];
  auto login = ssh::UserLogin::create(std::move(options));
  if (!login) return login.error();
  return std::unique_ptr<ssh::Login>(std::move(*login));
}

// A login that must fail costs one of those that a server counts.
Result<std::unique_ptr<ssh::Login>> SshWayOut::make_quiet_login() {
  if (credentials_.back()->repeatable()) return make_login(server(), nullptr);
  return Error{ErrorCode::authentication_failed,
               "each login there asks you for something new: a code, or a touch"};
}

void SshWayOut::connected() {
  start_lane();
  learn_resolver();
}

// With each connection: it may be another by then. Queries that come before it is known wait for
// it.
void SshWayOut::learn_resolver() {
  if (config_.dns.resolver) return resolvers_known({*config_.dns.resolver});
  learn_again_.stop();
  attempt_ = pool_->exec(kReadResolvConf, [this](const Result<ssh::ExecResult>& result) {
    attempt_.reset();
    on_resolv_conf(result);
  });
}

// A connection that died meanwhile, or a server that took too long, said nothing for good.
void SshWayOut::on_resolv_conf(const Result<ssh::ExecResult>& result) {
  std::vector<Endpoint> found;
  if (result) found = dns::parse_resolv_conf(result->output);
  if (!found.empty()) return resolvers_known(std::move(found));
  if (!result) learn_later();
  if (!resolvers_.empty()) return;
  log::warn(
      "the server does not tell its resolver ({}): trying its 127.0.0.53 and 127.0.0.1; "
      "--dns ADDR names another",
      result ? "no nameserver in its resolv.conf" : result.error().message);
  resolvers_known(usual_resolvers());
}

void SshWayOut::learn_later() {
  learn_due_ = paused_;
  if (!paused_) learn_again_.start(kLearnAgain);
}

void SshWayOut::resolvers_known(std::vector<Endpoint> resolvers) {
  resolvers_ = resolvers;
  forwarder_->set_resolvers(std::move(resolvers));
  tell();
}

void SshWayOut::start_lane() {
  if (config_.udp == UdpCarrier::none) return;
  ssh::SupervisorOptions own = quiet_to_server();
  own.way = way_->urgent_proxy();
  udp::CarrierOptions carrier = carrier_options(config_);
  lane_ = std::make_unique<DatagramLane>(loop_, *pool_, std::move(own), std::move(carrier));
  lane_->carrier().on_state([this](udp::Carrier::State) { tell(); });
  lane_->carrier().resolve_by(*forwarder_, {});
  lane_->carrier().enforce(far_rules_);
  server_names_ = std::make_unique<NameLane>(loop_, lane_->carrier(), *forwarder_);
  if (paused_) lane_->pause();
  lane_->start();
}

// The resolver is asked whatever rules say of it.
void SshWayOut::enforce_there(std::vector<rules::FarRule> rules) {
  if (config_.dns.resolver && !rules.empty()) {
    const Endpoint& resolver = *config_.dns.resolver;
    const auto bits = static_cast<uint8_t>(resolver.address.bytes().size() * 8);
    const rules::PortRange port{resolver.port, resolver.port};
    rules.insert(rules.begin(), {false, {resolver.address, bits}, port});
  }
  far_rules_ = std::move(rules);
  if (lane_) lane_->carrier().enforce(far_rules_);
}

void SshWayOut::pool_state(ssh::Pool::State state, const Error* error) {
  switch (state) {
    case ssh::Pool::State::reconnecting:
      log::warn("{} ({}); traffic waits while a new one is made",
                pool_->status().logins > 0 ? "the SSH connection is lost" : "no SSH connection",
                error != nullptr ? error->message : "it does not answer");
      break;
    case ssh::Pool::State::online:
      log::info("the SSH connection is up");
      if (!resolvers_.empty()) learn_resolver();
      break;
    default:
      break;
  }
  if (lane_) lane_->shared_changed();
  tell_state(tunnel_state(state), error);
}

void SshWayOut::tell_state(TunnelState state, const Error* error) {
  if (changed_) changed_(state, error);
}

std::string SshWayOut::names_text() const {
  const bool by_relay = lane_ && lane_->carrier().state() == udp::Carrier::State::relay;
  const bool by_udp = config_.dns.resolver ? lane_ && lane_->carries() : by_relay;
  return tunproxy::names_text(config_, resolvers_, !by_udp);
}

// Not before both are known: the carrier, and whom it asks.
void SshWayOut::tell() {
  const udp::Carrier* carrier = lane_ ? &lane_->carrier() : nullptr;
  const bool probing = carrier != nullptr && carrier->state() == udp::Carrier::State::probing;
  if (probing || resolvers_.empty()) return;
  status_line_.tell(udp_text(carrier), names_text(), carrier == nullptr || lane_->carries());
}

net::Proxy& SshWayOut::streams() {
  if (config_.listener.isolation == Isolation::destination) return by_destination_;
  return *pool_;
}

net::Proxy& SshWayOut::streams_of(const std::string& group) {
  auto& proxy = by_group_[group];
  if (!proxy) {
    proxy =
        std::make_unique<GroupedProxy>(loop_, groups_, [group](const Target&) { return group; });
  }
  return *proxy;
}

net::DatagramProxy* SshWayOut::datagrams() {
  return lane_ ? &lane_->carrier() : nullptr;
}

// The relay asks the server's own resolver; another one is asked by datagrams.
net::NameService* SshWayOut::names() {
  if (!lane_) return forwarder_.get();
  if (!config_.dns.resolver) return server_names_.get();
  if (!names_by_udp_) {
    names_by_udp_ = std::make_unique<dns::DatagramForwarder>(
        loop_, lane_->carrier(), *forwarder_, std::vector<Endpoint>{*config_.dns.resolver},
        [this] { return lane_->carries(); });
  }
  return names_by_udp_.get();
}

void SshWayOut::network_changed() {
  if (way_) way_->network_changed();
  if (pool_) pool_->network_changed();
  groups_.network_changed();
  if (lane_) lane_->network_changed();
}

void SshWayOut::pause() {
  paused_ = true;
  learn_due_ = learn_due_ || learn_again_.active();
  learn_again_.stop();
  if (way_) way_->pause();
  if (pool_) pool_->pause();
  groups_.pause();
  if (lane_) lane_->pause();
}

void SshWayOut::wake() {
  paused_ = false;
  if (way_) way_->wake();
  if (pool_) pool_->wake();
  groups_.wake();
  if (lane_) lane_->wake();
  if (std::exchange(learn_due_, false)) learn_resolver();
}

std::string SshWayOut::name() const {
  return fmt::format("SSH {}@{}", server().user, server().server.to_string());
}

namespace {

control::SessionStatus session_status(std::string name, const ssh::Supervisor::Status& session) {
  control::SessionStatus status;
  status.name = std::move(name);
  status.state = to_string(session.state);
  status.flows = session.channels;
  status.up = session.sent;
  status.down = session.received;
  if (session.round_trip > 0ms) status.rtt_ms = session.round_trip.count();
  return status;
}

}  // namespace

void SshWayOut::describe(control::TunnelStatus& status) const {
  status.server = name();
  status.carrier = "none";
  if (lane_) lane_->describe(status);
  const bool waits = !lane_ && config_.udp != UdpCarrier::none;
  status.carrier_text = waits ? kNoConnectionYet : udp_text(lane_ ? &lane_->carrier() : nullptr);
  status.resolver = names_text();
  if (!pool_) return;
  const ssh::Pool::Status pool = pool_->status();
  status.reconnects = pool.reconnects;
  for (const auto& session : pool.sessions) {
    status.sessions.push_back(session_status(fmt::format("streams {}", session.id), session));
  }
  // A group may be a destination, which is nobody else's business.
  const bool by_user = config_.listener.isolation == Isolation::user;
  groups_.each([&](const std::string& group, uint64_t number, const ssh::Supervisor& connection) {
    std::string name =
        by_user ? fmt::format("streams of {}", group) : fmt::format("isolated {}", number);
    status.sessions.push_back(session_status(std::move(name), connection.status()));
  });
}

}  // namespace tunproxy
