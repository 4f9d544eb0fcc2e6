#include "bindings/c/run.h"

#include <utility>

#include "platform/device.h"

namespace tunproxy::c_api {
namespace {

tunproxy_log_level log_level(log::Level level) {
  switch (level) {
    case log::Level::trace:
      return TUNPROXY_LOG_TRACE;
    case log::Level::debug:
      return TUNPROXY_LOG_DEBUG;
    case log::Level::info:
      return TUNPROXY_LOG_INFO;
    case log::Level::warn:
      return TUNPROXY_LOG_WARN;
    case log::Level::error:
    case log::Level::off:
      break;
  }
  return TUNPROXY_LOG_ERROR;
}

tunproxy_state state_for(TunnelState state) {
  switch (state) {
    case TunnelState::idle:
      return TUNPROXY_IDLE;
    case TunnelState::connecting:
      return TUNPROXY_CONNECTING;
    case TunnelState::authenticating:
      return TUNPROXY_AUTHENTICATING;
    case TunnelState::online:
      return TUNPROXY_ONLINE;
    case TunnelState::reconnecting:
      return TUNPROXY_RECONNECTING;
    case TunnelState::stopped:
      return TUNPROXY_STOPPED;
    case TunnelState::failed:
      break;
  }
  return TUNPROXY_FAILED;
}

}  // namespace

std::shared_ptr<const log::Sink> log_sink(const Instance& instance, const Config& config) {
  const tunproxy_callbacks& callbacks = instance.callbacks();
  auto sink = std::make_shared<log::Sink>();
  sink->level =
      callbacks.log == nullptr ? log::Level::off : config.log_level.value_or(log::Level::info);
  sink->write = [&instance, &callbacks](log::Level level, std::string_view line) {
    if (callbacks.log == nullptr) return;
    const CallingOut out(instance);
    callbacks.log(callbacks.user, log_level(level), std::string(line).c_str());
  };
  return sink;
}

Run::Run(Instance& instance, const Config& config, Device device)
    : instance_(instance),
      callbacks_(instance.callbacks()),
      config_(config),
      prompter_(questions()) {
  look_up_by_the_program();
  make_device(std::move(device));
  tunnel_ = std::make_unique<Tunnel>(loop_, config_, platform());
  tunnel_->on_state([this](TunnelState state, const Error* reason) { way_changed(state, reason); });
  tunnel_->on_failed([this](const Error& error) { instance_.report(TUNPROXY_FAILED, &error); });
}

// In this order: the tunnel's flows end before the device that they came by.
Run::~Run() {
  tunnel_.reset();
  packets_.reset();
  fd_device_.reset();
}

void Run::look_up_by_the_program() {
  if (callbacks_.resolve == nullptr) return;
  loop_.look_up_by([this](const std::string& name) -> Result<std::vector<IpAddress>> {
    tunproxy_addresses room{};
    room.size = sizeof room;
    int outcome = 0;
    {
      const CallingOut out(instance_);
      outcome = callbacks_.resolve(callbacks_.user, name.c_str(), &room);
    }
    if (outcome != 0) return Error{ErrorCode::host_unreachable, "cannot resolve " + name};
    std::vector<IpAddress> found;
    for (size_t i = 0; i < room.count && i < TUNPROXY_MAX_ADDRESSES; ++i) {
      room.text[i][sizeof room.text[i] - 1] = '\0';
      if (auto address = IpAddress::parse(room.text[i])) found.push_back(*address);
    }
    return found;
  });
}

void Run::make_device(Device device) {
  if (device.kind == Device::Kind::fd) {
    fd_device_ = open_device(loop_, std::move(device.fd), device.mtu);
  }
  if (device.kind == Device::Kind::packets) {
    packets_ =
        std::make_unique<PacketQueue>(loop_, device.mtu, config_.memory_budget(),
                                      [this](const tunproxy_packet* packets, size_t count) {
                                        const CallingOut out(instance_);
                                        callbacks_.write_packets(callbacks_.user, packets, count);
                                      });
  }
}

Platform Run::platform() {
  Platform platform;
  platform.prompter = &prompter_;
  platform.control_socket = false;
  if (callbacks_.flow_owner != nullptr) {
    platform.flow_owner = [this](bool udp, const Endpoint& program, const Endpoint& target) {
      return owner_of(udp, program, target);
    };
  }
  if (callbacks_.protect_socket != nullptr) {
    platform.prepare_socket = [this](int fd) -> Result<void> {
      const CallingOut out(instance_);
      if (callbacks_.protect_socket(callbacks_.user, fd) == 0) return {};
      return Error{ErrorCode::no_permission, "the program refused to protect a socket"};
    };
  }
  return platform;
}

int32_t Run::owner_of(bool udp, const Endpoint& program, const Endpoint& target) {
  constexpr int kTcp = 6;
  constexpr int kUdp = 17;
  const std::string local = program.address.to_string();
  const std::string remote = target.address.to_string();
  const tunproxy_flow_key key{sizeof key,   udp ? kUdp : kTcp, local.c_str(),
                              program.port, remote.c_str(),    target.port};
  const CallingOut out(instance_);
  return callbacks_.flow_owner(callbacks_.user, &key);
}

AppPrompter::Callbacks Run::questions() {
  AppPrompter::Callbacks questions;
  questions.show = [](std::string_view text) { log::info("{}", text); };
  if (callbacks_.ask != nullptr) {
    questions.ask = [this](tunproxy_question id, const std::string& prompt, bool echo) {
      const CallingOut out(instance_);
      callbacks_.ask(callbacks_.user, id, prompt.c_str(), echo ? 1 : 0);
    };
  }
  if (callbacks_.verify_host_key != nullptr) {
    questions.verify_host_key = [this](tunproxy_question id, const ssh::UnknownHostKey& key) {
      const tunproxy_host_key shown{sizeof shown, key.host.c_str(), key.type.c_str(),
                                    key.fingerprint.c_str(), key.line.c_str()};
      const CallingOut out(instance_);
      callbacks_.verify_host_key(callbacks_.user, id, &shown);
    };
  }
  return questions;
}

void Run::run() noexcept {
  tunnel_->start([this](Result<void> outcome) { started(std::move(outcome)); });
  loop_.run();
}

void Run::started(Result<void> outcome) {
  if (outcome) outcome = bring_up();
  if (!outcome) return instance_.report(TUNPROXY_FAILED, &outcome.error());
  up_ = true;
  log::info("{}", tunnel_->summary());
  instance_.report(TUNPROXY_ONLINE, nullptr);
}

Result<void> Run::bring_up() {
  if (config_.listener.at) {
    if (auto served = tunnel_->serve_socks(*config_.listener.at); !served) return served;
  }
  if (fd_device_) return tunnel_->serve_packets(*fd_device_);
  if (packets_) return tunnel_->serve_packets(*packets_);
  return {};
}

// Online is what has ways in as well.
void Run::way_changed(TunnelState state, const Error* reason) {
  if (state == TunnelState::online && !up_) return;
  instance_.report(state_for(state), reason);
}

}  // namespace tunproxy::c_api
