#include "core/socks5_way_out.h"

#include <fmt/format.h>

#include <utility>

#include "core/base/log.h"
#include "core/config_ssh.h"
#include "core/ssh/connector.h"
#include "core/tls/handshake.h"

namespace tunproxy {
namespace {

constexpr Duration kFirstPause = 250ms;
constexpr Duration kLongestPause = 30s;

// Whether an address means another host, or none, where the SOCKS5 server is.
bool only_here(const IpAddress& address) {
  static const Cidr kLinkLocal4 = *Cidr::parse("169.254.0.0/16");
  static const Cidr kLinkLocal6 = *Cidr::parse("fe80::/10");
  return address.is_loopback() || address.is_any() || kLinkLocal4.contains(address) ||
         kLinkLocal6.contains(address);
}

}  // namespace

Socks5WayOut::Socks5WayOut(io::Loop& loop, const Config& config, const Platform& platform)
    : loop_(loop),
      config_(config),
      platform_(platform),
      outside_names_(loop, platform),
      backoff_(kFirstPause, kLongestPause),
      pause_(loop, [this] { probe(); }) {}

// What uses the client goes before it.
Socks5WayOut::~Socks5WayOut() {
  names_by_udp_.reset();
  datagrams_.reset();
  forwarder_.reset();
  attempt_.reset();
}

void Socks5WayOut::start(net::Done<void> done) {
  if (auto loaded = load_certificates(); !loaded) return done(loaded.error());
  auto options = client_options();
  if (!options) return done(options.error());
  client_ = std::make_unique<socks5::Client>(loop_, *config_.socks5.server, std::move(*options));
  done_ = std::move(done);
  tell_state(TunnelState::connecting, nullptr);
  probe();
}

void Socks5WayOut::probe() {
  attempt_ = client_->probe([this](Result<void> outcome) { probed(std::move(outcome)); });
}

void Socks5WayOut::probed(Result<void> outcome) {
  if (outcome) {
    started();
    return std::exchange(done_, nullptr)({});
  }
  const Error& error = outcome.error();
  if (!config_.keep_trying || ssh::permanent(error)) {
    tell_state(TunnelState::failed, &error);
    return std::exchange(done_, nullptr)(std::move(outcome));
  }
  if (backoff_.fresh()) {
    log::warn("the SOCKS5 server is not there yet ({}); it is tried again", error.message);
    tell_state(TunnelState::reconnecting, &error);
  }
  const bool reached = error.code != ErrorCode::server_unreachable;
  pause_.start(backoff_.next(error, loop_.now(), reached));
}

void Socks5WayOut::network_changed() {
  if (!pause_.active()) return;
  pause_.stop();
  probe();
}

Result<socks5::ClientOptions> Socks5WayOut::client_options() {
  const Socks5Settings& settings = config_.socks5;
  socks5::ClientOptions options;
  options.dial.prepare = platform_.prepare_socket;
  options.dial.for_flow = true;
  options.dial.look_up_again = outside_names_.look_up();
  if (!settings.user.empty()) {
    auto password = read_password(settings.password);
    if (!password) return password.error();
    socks5::Account account{settings.user, *password ? std::move(**password) : Secret()};
    if (auto good = account.check(); !good) return good.error();
    options.negotiate.account = std::move(account);
  }
  if (!settings.tls) return options;
  options.secure = [this](auto connection, auto done) {
    return tls::connect(loop_, std::move(connection), certificates_, std::move(done));
  };
  return options;
}

Result<void> Socks5WayOut::load_certificates() {
  const Socks5Settings& settings = config_.socks5;
  if (!settings.tls) return {};
  const std::string name = settings.name.empty() ? settings.server->host() : settings.name;
  auto loaded = tls::ClientContext::create({name, settings.ca, settings.certificate, settings.key});
  if (!loaded) return loaded.error();
  certificates_ = *std::move(loaded);
  return {};
}

Result<void> Socks5WayOut::reload() {
  if (auto loaded = load_certificates(); !loaded) {
    return Error{loaded.error().code, "the certificates for the SOCKS5 server stay as they were: " +
                                          loaded.error().message};
  }
  return {};
}

void Socks5WayOut::started() {
  if (const auto resolvers = this->resolvers(); !resolvers.empty()) {
    forwarder_ = std::make_unique<dns::Forwarder>(loop_, *client_, resolvers);
  }
  const bool in_clear = config_.socks5.tls && !config_.socks5.clear_udp;
  if (config_.udp != UdpCarrier::none && !in_clear) {
    datagrams_ = std::make_unique<udp::WatchedProxy>(loop_, *client_);
    datagrams_->on_state([this](udp::WatchedProxy::State) { tell(); });
    datagrams_->probe();
  }
  tell();
  tell_state(TunnelState::online, nullptr);
}

// Those of the machine that the server may reach as well.
std::vector<Endpoint> Socks5WayOut::resolvers() const {
  if (config_.dns.resolver) return {*config_.dns.resolver};
  std::vector<Endpoint> resolvers = platform_.resolvers;
  std::erase_if(resolvers, [](const Endpoint& each) { return only_here(each.address); });
  return resolvers;
}

net::NameService* Socks5WayOut::names() {
  if (!datagrams_) return forwarder_.get();
  if (!names_by_udp_ && forwarder_) {
    names_by_udp_ = std::make_unique<dns::DatagramForwarder>(
        loop_, *datagrams_, *forwarder_, resolvers(), [this] { return carried(); });
  }
  return names_by_udp_.get();
}

bool Socks5WayOut::carried() const {
  return datagrams_ && datagrams_->state() == udp::WatchedProxy::State::carried;
}

void Socks5WayOut::tell() {
  const bool refused = datagrams_ ? datagrams_->state() == udp::WatchedProxy::State::refused
                                  : config_.udp != UdpCarrier::none;
  status_line_.tell(udp_text(datagrams_.get(), config_),
                    names_text(config_, resolvers(), !carried()), !refused);
}

void Socks5WayOut::tell_state(TunnelState state, const Error* error) {
  if (changed_) changed_(state, error);
}

std::string Socks5WayOut::name() const {
  return fmt::format("SOCKS5 {}", config_.socks5.server->to_string());
}

void Socks5WayOut::describe(control::TunnelStatus& status) const {
  status.server = name();
  status.carrier = carried() ? "socks5" : "none";
  status.carrier_text = udp_text(datagrams_.get(), config_);
  status.resolver = names_text(config_, resolvers(), !carried());
  if (client_) client_->udp_stats().tell_drops("socks5_udp", status.drops);
}

}  // namespace tunproxy
