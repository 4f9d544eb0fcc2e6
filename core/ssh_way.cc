#include "core/ssh_way.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "core/config_ssh.h"
#include "core/http/connect_client.h"
#include "core/socks5/client.h"
#include "core/ssh/proxy_command.h"
#include "core/tls/handshake.h"

namespace tunproxy {
namespace {

constexpr Duration kAgain = 500ms;  // a network that is back is noticed by then

template <typename Credentials>
Result<std::optional<Credentials>> credentials(const SshSettings& settings) {
  if (settings.via->user.empty()) return std::optional<Credentials>();
  auto password = read_password(settings.via_password);
  if (!password) return password.error();
  Credentials both{settings.via->user, *password ? std::move(**password) : Secret()};
  if (auto fit = both.check(); !fit) return fit.error();
  return std::optional<Credentials>(std::move(both));
}

using MadeProxy = Result<std::unique_ptr<net::Proxy>>;

// The proxy shows a certificate for its name, by somebody whom the system trusts.
Result<net::Secure> tls_to(io::Loop& loop, const Target& proxy) {
  tls::ClientOptions options;
  options.name = proxy.host();
  auto context = tls::ClientContext::create(options);
  if (!context) return context.error();
  return net::Secure([&loop, context = std::move(*context)](auto stream, auto done) {
    return tls::connect(loop, std::move(stream), context, std::move(done));
  });
}

io::DialOptions dial_options(const SshWay::Outside& outside) {
  io::DialOptions options;
  options.prepare = outside.socket;
  options.look_up_again = outside.look_up;
  options.again = kAgain;
  return options;
}

MadeProxy http_proxy(io::Loop& loop, const SshSettings& settings, const SshWay::Outside& outside) {
  auto who = credentials<http::Credentials>(settings);
  if (!who) return who.error();
  http::ConnectOptions options;
  if (settings.via->scheme == ViaProxy::Scheme::https) {
    auto secure = tls_to(loop, settings.via->proxy);
    if (!secure) return secure.error();
    options.secure = std::move(*secure);
  }
  options.dial = dial_options(outside);
  options.credentials = std::move(*who);
  return std::unique_ptr<net::Proxy>(
      std::make_unique<http::ConnectClient>(loop, settings.via->proxy, std::move(options)));
}

MadeProxy socks5_proxy(io::Loop& loop, const SshSettings& settings,
                       const SshWay::Outside& outside) {
  auto who = credentials<socks5::Account>(settings);
  if (!who) return who.error();
  socks5::ClientOptions options;
  options.dial = dial_options(outside);
  options.negotiate.account = std::move(*who);
  options.in_front = true;
  return std::unique_ptr<net::Proxy>(
      std::make_unique<socks5::Client>(loop, settings.via->proxy, std::move(options)));
}

MadeProxy via_proxy(io::Loop& loop, const SshSettings& settings, const SshWay::Outside& outside) {
  switch (settings.via->scheme) {
    case ViaProxy::Scheme::http:
    case ViaProxy::Scheme::https:
      return http_proxy(loop, settings, outside);
    case ViaProxy::Scheme::socks5:
      break;
  }
  return socks5_proxy(loop, settings, outside);
}

std::unique_ptr<net::Proxy> command_proxy(io::Loop& loop, const SshHost& first,
                                          io::PrepareChild prepare) {
  ssh::ProxyCommandOptions options;
  options.command = first.proxy_command;
  options.user = first.user;
  options.name = first.name;
  options.prepare = std::move(prepare);
  return std::make_unique<ssh::ProxyCommand>(loop, std::move(options));
}

MadeProxy front_of(io::Loop& loop, const SshSettings& settings, const SshWay::Outside& outside) {
  const SshHost& first = settings.path.front();
  const bool command = !first.proxy_command.empty();
  if (settings.via && command) {
    return Error{ErrorCode::usage, "give --via or --proxy-command, not both"};
  }
  if (command && outside.socket && !outside.child) {
    return Error{ErrorCode::usage, "a ProxyCommand cannot be led past the tunnel here"};
  }
  if (settings.via) return via_proxy(loop, settings, outside);
  if (command) return command_proxy(loop, first, outside.child);
  return std::unique_ptr<net::Proxy>();
}

}  // namespace

Result<std::unique_ptr<SshWay>> SshWay::create(io::Loop& loop, const SshSettings& settings,
                                               const Outside& outside, const MakeHop& make_hop) {
  auto front = front_of(loop, settings, outside);
  if (!front) return front.error();
  std::unique_ptr<SshWay> way(new SshWay);
  way->front_ = std::move(*front);
  std::vector<ssh::JumpHop> hops;
  for (size_t i = 0; i + 1 < settings.path.size(); ++i) {
    const SshHost& host = settings.path[i];
    hops.push_back({fmt::format("{}@{}", host.user, host.server.to_string()), make_hop(host)});
  }
  if (!hops.empty()) {
    hops.front().options.way = way->front_.get();
    way->jumps_ = std::make_unique<ssh::JumpChain>(loop, std::move(hops));
  }
  return way;
}

void SshWay::start(net::Done<void> done) {
  if (!jumps_) return done({});
  jumps_->start(std::move(done));
}

void SshWay::on_start_state(std::function<void(ssh::Supervisor::State)> changed) {
  if (jumps_) jumps_->on_start_state(std::move(changed));
}

void SshWay::on_failed(std::function<void(const Error&)> failed) {
  if (jumps_) jumps_->on_failed(std::move(failed));
}

void SshWay::network_changed() {
  if (jumps_) jumps_->network_changed();
}

void SshWay::pause() {
  if (jumps_) jumps_->pause();
}

void SshWay::wake() {
  if (jumps_) jumps_->wake();
}

net::Proxy* SshWay::proxy() {
  return jumps_ ? &jumps_->way() : front_.get();
}

net::Proxy* SshWay::urgent_proxy() {
  return jumps_ ? &jumps_->urgent_way() : front_.get();
}

}  // namespace tunproxy
