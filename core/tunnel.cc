#include "core/tunnel.h"

#include <fmt/format.h>

#include <random>
#include <utility>

#include "core/base/joined.h"
#include "core/base/log.h"
#include "core/socks5_way_out.h"
#include "core/ssh_way_out.h"

namespace tunproxy {
namespace {

std::unique_ptr<WayOut> make_way_out(io::Loop& loop, const Config& config,
                                     const Platform& platform) {
  if (config.ssh.server) return std::make_unique<SshWayOut>(loop, config, platform);
  return std::make_unique<Socks5WayOut>(loop, config, platform);
}

void describe(const tun2socks::EngineStats& stats, control::TunnelStatus& status) {
  for (size_t i = 1; i < stats.drops.size(); ++i) {
    const auto reason = static_cast<tun2socks::Drop>(i);
    status.add_drops(fmt::format("tun/{}", tun2socks::to_string(reason)), stats.drops[i]);
  }
  status.add_drops("tun/refused", stats.udp_refused);
  status.udp_associations = stats.udp_associations;
  status.udp = {{"opened", stats.udp_opened},
                {"failed", stats.udp_failed},
                {"lost", stats.udp_lost},
                {"idle", stats.udp_reaped},
                {"evicted", stats.udp_evicted},
                {"shared", stats.udp_shared},
                {"datagrams_up", stats.udp_datagrams_up},
                {"datagrams_down", stats.udp_datagrams_down},
                {"queries", stats.dns_queries},
                {"answers", stats.dns_answers}};
}

}  // namespace

std::string_view to_string(TunnelState state) {
  switch (state) {
    case TunnelState::idle:
      return "idle";
    case TunnelState::connecting:
      return "connecting";
    case TunnelState::authenticating:
      return "authenticating";
    case TunnelState::online:
      return "online";
    case TunnelState::reconnecting:
      return "reconnecting";
    case TunnelState::stopped:
      return "stopped";
    case TunnelState::failed:
      break;
  }
  return "failed";
}

Tunnel::Tunnel(io::Loop& loop, const Config& config, Platform platform)
    : loop_(loop),
      config_(config),
      platform_(std::move(platform)),
      made_(loop.now()),
      out_(make_way_out(loop, config_, platform_)) {
  cap_memory(1);
  out_->on_state([this](TunnelState state, const Error* error) { set_state(state, error); });
}

// The flows go before what carries them.
Tunnel::~Tunnel() {
  engine_.reset();
  listener_.reset();
  loop_.destroy_retired();  // flows that ended in this batch still refer to what goes next
  redirect_.reset();
  packets_way_.reset();
  names_.reset();
  fake_names_.reset();
  out_.reset();
  loop_.destroy_retired();
}

void Tunnel::start(net::Done<void> done) {
  auto oversight = Oversight::create(loop_, config_, platform_, *this);
  if (!oversight) return done(oversight.error());
  oversight_ = std::move(*oversight);
  out_->enforce_there(rules::far_rules(oversight_->keeper().rules()));
  out_->start([this, done = std::move(done)](Result<void> started) {
    if (started) connected();
    done(std::move(started));
  });
}

void Tunnel::connected() {
  started_ = true;
  net::NameService* resolver = out_->names();
  oversight_->keeper().lookup().use(resolver);
  if (config_.fake_names()) {
    fake_table_ = std::make_unique<dns::FakeTable>(std::random_device{}());
    fake_names_ = std::make_unique<dns::FakeNames>(loop_, *fake_table_, resolver);
    resolver = fake_names_.get();
  }
  if (resolver == nullptr) return;  // and no program to ask it
  names_ = std::make_unique<gate::ObservingNames>(*resolver, oversight_->keeper().memory());
}

// Failed is for good, whatever a part of the way out may yet tell.
void Tunnel::set_state(TunnelState next, const Error* error) {
  if (next == state_ || state_ == TunnelState::failed) return;
  log::debug("tunnel: {} -> {}{}{}", to_string(state_), to_string(next), error ? ": " : "",
             error ? error->message : "");
  state_ = next;
  if (changed_) changed_(next, error);
  // Before that, start() reports it.
  if (next == TunnelState::failed && started_ && failed_) failed_(*error);
}

Result<void> Tunnel::serve_socks(const Endpoint& at) {
  auto listener =
      Listener::open(loop_, at, config_.listener, {oversight_->keeper(), *out_, fake_table_.get()});
  if (!listener) return listener.error();
  listener_ = std::move(*listener);
  return {};
}

Result<void> Tunnel::serve_packets(tun2socks::PacketDevice& device) {
  packets_way_ =
      std::make_unique<GatedWay>(oversight_->keeper(), gate::Who{account::Source::tun, ""},
                                 out_->streams(), out_->datagrams(), fake_table_.get());
  redirect_ = std::make_unique<dns::Redirect>(loop_, packets_way_->streams(), *names_);
  tun2socks::EngineOptions options;
  options.udp_associations = config_.udp_associations;
  options.udp_idle = std::chrono::seconds(config_.udp_idle);
  options.watcher = this;
  if (const size_t budget = config_.memory_budget(); budget > 0) options.memory_cap = budget / 2;
  auto engine = tun2socks::Engine::create(loop_, device, *redirect_, names_.get(),
                                          &packets_way_->datagrams(), options);
  if (!engine) return engine.error();
  engine_ = std::move(*engine);
  engine_->start([this](const Error& error) {
    if (failed_) failed_({ErrorCode::device_lost, error.message});
  });
  return {};
}

void Tunnel::before_flow(bool udp, const Endpoint& program, const Endpoint& target) {
  account::Origin origin{program};
  if (platform_.flow_owner) origin.owner = platform_.flow_owner(udp, program, target);
  oversight_->announce(origin);
}

void Tunnel::after_flow() {
  oversight_->announce(std::nullopt);
}

// Everything that buffers asks the loop's budget, so that this reaches all of it at once.
void Tunnel::cap_memory(size_t divisor) {
  constexpr size_t kUsual = size_t{64} * 1024 * 1024;
  const size_t budget = config_.memory_budget();
  const bool capped = budget > 0 || divisor > 1;
  loop_.memory().set_cap(capped ? (budget > 0 ? budget : kUsual) / divisor : MemoryBudget::kNoCap);
}

void Tunnel::memory_pressure(MemoryPressure pressure) {
  constexpr size_t kModerate = 4;
  constexpr size_t kCritical = 16;
  switch (pressure) {
    case MemoryPressure::none:
      return cap_memory(1);
    case MemoryPressure::moderate:
      return cap_memory(kModerate);
    case MemoryPressure::critical:
      cap_memory(kCritical);
      if (engine_) engine_->drop_quiet_udp();
      if (listener_) listener_->drop_quiet_udp();
  }
}

Result<void> Tunnel::reload() {
  if (!oversight_) return Error{ErrorCode::usage, "there is nothing to read again yet"};
  auto ruled = oversight_->reload(config_.rules);
  out_->enforce_there(rules::far_rules(oversight_->keeper().rules()));
  return joined(
      {std::move(ruled), out_->reload(), listener_ ? listener_->reload() : Result<void>()});
}

std::string Tunnel::summary() const {
  std::string ways_in;
  if (listener_) ways_in += fmt::format("; SOCKS5 listener on {}", listener_->local().to_string());
  if (engine_) ways_in += "; TUN";
  return fmt::format("tunnelling through {}{}", out_->name(), ways_in);
}

control::TunnelStatus Tunnel::status() const {
  control::TunnelStatus status;
  status.state = to_string(state_);
  out_->describe(status);
  status.uptime_s = std::chrono::duration_cast<std::chrono::seconds>(loop_.now() - made_).count();
  if (oversight_) oversight_->describe(status);
  status.memory_used = loop_.memory().used();
  const size_t cap = loop_.memory().cap();
  status.memory_cap = cap == MemoryBudget::kNoCap ? 0 : cap;
  if (listener_) listener_->describe(status);
  if (fake_table_) status.add_drops("fake/nameless", fake_table_->nameless_datagrams());
  if (!engine_) return status;
  status.ways_in.push_back("TUN");
  describe(engine_->stats(), status);
  return status;
}

tun2socks::EngineStats Tunnel::packet_stats() const {
  return engine_ ? engine_->stats() : tun2socks::EngineStats{};
}

const account::Account* Tunnel::account() const {
  return oversight_ ? &oversight_->account() : nullptr;
}

}  // namespace tunproxy
