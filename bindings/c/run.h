// Run: what lives in the thread of an Instance while it runs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bindings/c/app_prompter.h"
#include "bindings/c/instance.h"
#include "bindings/c/packet_queue.h"
#include "bindings/c/tunproxy.h"
#include "core/base/log.h"
#include "core/config.h"
#include "core/io/loop.h"
#include "core/tunnel.h"

namespace tunproxy::c_api {

/// While it lives this thread runs a callback of the instance.
class CallingOut {
 public:
  explicit CallingOut(const Instance& instance);
  CallingOut(const CallingOut&) = delete;
  CallingOut& operator=(const CallingOut&) = delete;
  ~CallingOut();

 private:
  const Instance* former_;
};

/// The log of an instance: the program's callback, or nothing.
std::shared_ptr<const log::Sink> log_sink(const Instance& instance, const Config& config);

/// Made, run and destroyed in one thread. loop(), packets() and prompter() may be used by others
/// while it is the instance's.
class Run {
 public:
  Run(Instance& instance, const Config& config, Device device);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run();

  /// Until the loop is stopped. A tunnel that fails stays, so that nothing goes round it.
  void run() noexcept;

  io::Loop& loop() { return loop_; }
  PacketQueue* packets() { return packets_.get(); }  ///< nullptr: not in packet mode
  AppPrompter& prompter() { return prompter_; }
  Tunnel& tunnel() { return *tunnel_; }

 private:
  Platform platform();
  int32_t owner_of(bool udp, const Endpoint& program, const Endpoint& target);
  void look_up_by_the_program();
  void make_device(Device device);
  Result<void> bring_up();
  void started(Result<void> outcome);
  void way_changed(TunnelState state, const Error* reason);
  AppPrompter::Callbacks questions();

  Instance& instance_;
  const tunproxy_callbacks& callbacks_;
  const Config config_;
  bool up_ = false;       // the ways in are there, too
  AppPrompter prompter_;  // the loop's threads may still ask when it ends
  io::Loop loop_;
  std::unique_ptr<tun2socks::PacketDevice> fd_device_;
  std::unique_ptr<PacketQueue> packets_;
  std::unique_ptr<Tunnel> tunnel_;
};

}  // namespace tunproxy::c_api
