#include "tools/tunproxy/program.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <utility>

#include "core/base/log.h"
#include "core/dns/resolv_conf.h"
#include "platform/linux/private_names.h"

namespace tunproxy::cli {

int exit_code_for(const Error& error) {
  switch (error.code) {
    case ErrorCode::usage:
      return 2;
    case ErrorCode::host_key_refused:
      return 3;
    case ErrorCode::authentication_failed:
      return 4;
    case ErrorCode::server_unreachable:
    case ErrorCode::timed_out:
      return 5;
    case ErrorCode::no_permission:
      return 6;
    default:
      return 1;
  }
}

namespace {

// DHCP tells a link's domains some time after the link has an address.
constexpr Duration kSettling = 5s;

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);  // else the one that there is has to do
}

}  // namespace

int Program::run() {
  if (auto reserved = reserve(); !reserved) {
    fail(reserved.error());
    return exit_code_;
  }
  raise_descriptor_limit();  // not the command's, which is a process of its own by now
  loop_ = std::make_unique<io::Loop>();
  prompter_ = linux_host::TerminalPrompter::open();
  watch_signals();
  start_tunnel();
  loop_->run();
  tear_down();
  return exit_code_;
}

// What needs a permission, or a process without threads, comes before the user is asked anything.
Result<void> Program::reserve() {
  if (!config_.tun) return {};
  if (!config_.command.empty()) {
    auto command = linux_host::Command::prepare({config_.command, config_.mtu});
    if (!command) return command.error();
    command_ = std::move(*command);
    return {};
  }
  auto host = linux_host::HostNetwork::reserve(
      {config_.tun_name, config_.mtu, config_.tunnelled(), config_.excluded});
  if (!host) return host.error();
  host_ = std::move(*host);
  for (const std::string& line : host_->leftovers().restored) {
    log::warn("a former run ended without putting this back, now done: {}", line);
  }
  return reserve_outside();
}

// A ProxyCommand makes connections that must not go into the tunnel.
Result<void> Program::reserve_outside() {
  if (config_.ssh.path.empty() || config_.ssh.path.front().proxy_command.empty()) return {};
  auto outside = linux_host::OutsideGroup::create(host_->mark());
  if (!outside) return outside.error();
  outside_ = std::move(*outside);
  return {};
}

void Program::watch_signals() {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    signals_.push_back(
        std::make_unique<io::Signal>(*loop_, number, [this, number] { on_signal(number); }));
  }
}

void Program::start_tunnel() {
  Platform platform;
  platform.prompter = prompter_.get();
  if (host_) platform.prepare_socket = host_->prepare_socket();
  if (outside_) platform.prepare_child = outside_->prepare_child();
  platform.resolvers = dns::parse_resolv_conf(linux_host::uplink_resolv_conf());  // still its own
  tunnel_ = std::make_unique<Tunnel>(*loop_, config_, std::move(platform));
  tunnel_->on_failed([this](const Error& error) {
    const bool command_ended = command_ && command_->exit_code();  // its TUN went with it
    if (!command_ended) lose(error);
  });
  watch_network();
  tunnel_->start([this](Result<void> started) {
    if (started) started = bring_up();
    if (!started) fail(started.error());
  });
}

// The traffic switches over only now, when there is a tunnel to take it.
Result<void> Program::bring_up() {
  if (config_.listener.at) {
    if (auto served = tunnel_->serve_socks(*config_.listener.at); !served) return served;
  }
  if (host_) {
    if (auto applied = host_->apply(); !applied) return applied;
    const linux_host::TunInterface& tun = host_->tun();
    UniqueFd fd(::fcntl(host_->tun_fd(), F_DUPFD_CLOEXEC, 0));
    if (auto carried = carry_packets(std::move(fd), tun.mtu, tun.vnet_header); !carried) {
      return carried;
    }
  }
  if (command_) {
    const linux_host::TunInterface& tun = command_->tun();
    auto carried = carry_packets(command_->take_tun(), tun.mtu, tun.vnet_header);
    if (!carried) return carried;
    command_ended_ = std::make_unique<io::FdWatcher>(*loop_, command_->exit_fd(),
                                                     [this](auto) { on_command_end(); });
    command_ended_->want(true, false);
    if (auto begun = command_->start(); !begun) return begun;
  }
  up_ = true;
  log::info("{}", tunnel_->summary());
  return {};
}

Result<void> Program::carry_packets(UniqueFd tun, uint16_t mtu, bool vnet_header) {
  device_ = std::make_unique<linux_host::TunDevice>(*loop_, std::move(tun), mtu, vnet_header);
  return tunnel_->serve_packets(*device_);
}

// Without it a change is noticed when the server does not answer.
void Program::watch_network() {
  settled_ = std::make_unique<io::Timer>(*loop_, [this] { watch_names(); });
  const auto changed = [this] { network_changed(); };
  auto monitor = linux_host::NetworkMonitor::open(*loop_, host_ ? host_->tun_name() : "", changed);
  if (monitor) {
    monitor_ = std::move(*monitor);
  } else {
    log::warn("{}", monitor.error().message);
  }
  auto suspends = linux_host::SuspendMonitor::open(*loop_, changed);
  if (suspends) {
    suspends_ = std::move(*suspends);
  } else {
    log::warn("{}", suspends.error().message);
  }
}

void Program::network_changed() {
  log::debug("the network changed");
  tunnel_->network_changed();
  watch_names();
  settled_->start(kSettling);
}

// A link that came, or was configured anew, is asked no names either.
void Program::watch_names() {
  if (!host_ || !host_->names_have_links()) return;
  using linux_host::LinkSetting;
  auto found = std::make_shared<std::vector<LinkSetting>>();
  names_watch_ = loop_->run_in_thread(
      [found, tun = host_->tun().name] { *found = linux_host::ways_beside(tun); },
      [this, found] {
        auto taken = host_->take_away_too(*found);
        if (!taken) log::warn("{}", taken.error().message);
      });
}

void Program::on_signal(int signal_number) {
  const bool command_runs = command_ended_ != nullptr;
  if (!command_runs && signal_number == SIGHUP && up_ && !hung_up()) return reload();
  if (!command_runs) return finish(up_ ? exit_code_ : 128 + signal_number);
  // The terminal sends these to the command as well: it decides what they mean.
  if (signal_number == SIGINT || signal_number == SIGQUIT) return;
  command_->forward(signal_number);
}

// Its terminal is gone, as opposed to somebody who says: read your files again.
bool Program::hung_up() const {
  return prompter_ != nullptr && linux_host::TerminalPrompter::open() == nullptr;
}

void Program::reload() {
  if (auto reloaded = tunnel_->reload(); !reloaded) log::error("{}", reloaded.error().message);
}

void Program::on_command_end() {
  if (const auto exit_code = command_->exit_code()) finish(*exit_code);
}

// Whoever can cut a connection, and then answer with a key of his own, must not make a machine send
// past its tunnel: the user decides when it does.
void Program::lose(const Error& error) {
  const bool holds = up_ && host_ && error.code != ErrorCode::device_lost;
  if (!holds) return fail(error);
  exit_code_ = exit_code_for(error);
  fmt::print(
      stderr,
      "tunproxy: {}\ntunproxy: the machine's traffic is refused until you end tunproxy (Ctrl-C); "
      "from then on it goes outside the tunnel\n",
      error.message);
}

void Program::fail(const Error& error) {
  fmt::print(stderr, "tunproxy: {}\n", error.message);
  finish(exit_code_for(error));
}

void Program::finish(int exit_code) {
  exit_code_ = exit_code;
  if (loop_) loop_->stop();
}

void Program::tear_down() {
  monitor_.reset();
  suspends_.reset();
  settled_.reset();
  names_watch_.reset();
  tunnel_.reset();
  outside_.reset();
  device_.reset();
  command_ended_.reset();
  command_.reset();
  if (host_) {
    for (const std::string& line : host_->remove().failed) log::error("not put back: {}", line);
  }
  signals_.clear();
  loop_.reset();
}

}  // namespace tunproxy::cli
