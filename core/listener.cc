#include "core/listener.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "core/base/joined.h"
#include "core/base/log.h"
#include "core/listener_options.h"
#include "core/tls/handshake.h"

namespace tunproxy {
namespace {

using Certificates = std::shared_ptr<tls::ServerContext>;

// nullptr: clients speak no TLS.
Result<Certificates> load_certificates(const ListenerTls& settings) {
  if (settings.certificate.empty()) return Certificates();
  tls::ServerOptions options{settings.certificate, settings.key, settings.client_ca};
  if (settings.minimum == TlsVersion::tls1_3) options.min_version = tls::Version::v1_3;
  return tls::ServerContext::create(options);
}

// In the order of socks5::Protocol.
constexpr std::array<const char*, socks5::ServerStats::kProtocols> kLanguages = {"socks5", "socks4",
                                                                                 "http", "unknown"};

void count(const socks5::ServerStats& stats,
           std::map<std::string, std::map<std::string, uint64_t>>& to) {
  const auto add = [&](const char* group, const char* kind, uint64_t n) {
    if (n > 0) to[group][kind] = n;
  };
  add("connections", "accepted", stats.accepted);
  add("connections", "unheard", stats.dropped);
  add("connections", "evicted", stats.evicted);
  add("connections", "late", stats.late);
  add("connections", "without_tls", stats.insecure);
  add("connections", "malformed", stats.malformed);
  add("connections", "over_limit", stats.over_limit);
  add("passwords", "right", stats.credentials_right);
  add("passwords", "wrong", stats.credentials_wrong);
  for (size_t i = 0; i < kLanguages.size(); ++i) {
    add("languages", kLanguages[i], stats.protocols[i]);
  }
  add("commands", "connect", stats.connects);
  add("commands", "bind", stats.binds);
  add("commands", "associate", stats.associates);
  add("commands", "unknown", stats.unknown_commands);
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::open(io::Loop& loop, const Endpoint& at,
                                                 const ListenerSettings& settings,
                                                 Through through) {
  auto options = listener_options(settings, at);
  if (!options) return options.error();
  auto certificates = load_certificates(settings.tls);
  if (!certificates) return certificates.error();
  std::unique_ptr<Listener> listener(new Listener(settings, through));
  listener->certificates_ = std::move(*certificates);
  if (listener->certificates_) {
    options->secure = [&loop, self = listener.get()](auto client, auto done) {
      return tls::accept(loop, std::move(client), self->certificates_, std::move(done));
    };
  }
  options->on_limit = [&keeper = through.keeper](std::string_view limit) {
    keeper.tell_limit({ErrorCode::limit, std::string(limit)});
  };
  auto server = socks5::Server::listen(
      loop, at,
      [self = listener.get()](const socks5::ClientIdentity& client, const socks5::Request&) {
        return self->choose(client);
      },
      std::move(*options));
  if (!server) return server.error();
  listener->server_ = std::move(*server);
  return listener;
}

Result<socks5::WayOut> Listener::choose(const socks5::ClientIdentity& client) {
  GatedWay& way = way_of(client.user);
  socks5::WayOut out;
  out.proxy = &way.streams();
  if (way.carries_datagrams() && may_use_udp(client)) out.datagrams = &way.datagrams();
  return out;
}

// Beside a connection in TLS datagrams would go in clear (RFC 1928 has nothing else).
bool Listener::may_use_udp(const socks5::ClientIdentity& client) const {
  const bool stays_here = client.peer && client.peer->address.unmapped().is_loopback();
  return !certificates_ || settings_.clear_udp || stays_here;
}

// The users are those of the configuration, so that there are not too many.
GatedWay& Listener::way_of(const std::string& user) {
  auto& way = ways_[user];
  if (!way) {
    const bool own = settings_.isolation == Isolation::user && !user.empty();
    way = std::make_unique<GatedWay>(through_.keeper, gate::Who{account::Source::socks, user},
                                     own ? through_.out.streams_of(user) : through_.out.streams(),
                                     through_.out.datagrams(), through_.fakes);
  }
  return *way;
}

void Listener::drop_quiet_udp() {
  constexpr Duration kQuiet = 5s;
  server_->drop_quiet_udp(kQuiet);
}

Result<void> Listener::reload() {
  auto users = load_users(settings_);
  auto certificates = load_certificates(settings_.tls);
  const Result<void> good = joined({users ? Result<void>() : users.error(),
                                    certificates ? Result<void>() : certificates.error()});
  if (!good) {
    return Error{good.error().code, "the listener's users and certificates stay as they were: " +
                                        good.error().message};
  }
  log::info("the listener's users and certificates are read again");
  server_->set_users(*std::move(users));
  certificates_ = *std::move(certificates);
  return {};
}

void Listener::describe(control::TunnelStatus& status) const {
  status.ways_in.push_back("SOCKS listener " + local().to_string());
  server_->udp_stats().tell_drops("socks_udp", status.drops);
  const socks5::ServerStats& stats = server_->stats();
  count(stats, status.listener);
  for (size_t code = 0; code < stats.replies.size(); ++code) {
    if (stats.replies[code] > 0) status.replies[fmt::format("{:02}", code)] = stats.replies[code];
  }
}

}  // namespace tunproxy
