// Program: one run of the command line's tunnel, from the first question to the last thing put
// back.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/io/fd_watcher.h"
#include "core/io/loop.h"
#include "core/io/signal.h"
#include "core/io/timer.h"
#include "core/tunnel.h"
#include "platform/linux/command.h"
#include "platform/linux/host_network.h"
#include "platform/linux/network_monitor.h"
#include "platform/linux/outside_group.h"
#include "platform/linux/suspend_monitor.h"
#include "platform/linux/terminal_prompter.h"
#include "platform/linux/tun_device.h"

namespace tunproxy::cli {

/// The documented exit code of an error.
int exit_code_for(const Error& error);

class Program {
 public:
  /// REQUIRES: no threads yet (a command's network is made by a child of this process).
  explicit Program(Config config) : config_(std::move(config)) {}

  /// Runs until a signal, the end of the command or a failure; returns the exit code. Puts
  /// everything back before it returns.
  int run();

 private:
  Result<void> reserve();
  Result<void> reserve_outside();
  void watch_signals();
  void start_tunnel();
  Result<void> bring_up();
  Result<void> carry_packets(UniqueFd tun, uint16_t mtu, bool vnet_header);
  void watch_network();
  void network_changed();
  void watch_names();
  void on_signal(int signal_number);
  bool hung_up() const;
  void reload();
  void on_command_end();
  void finish(int exit_code);
  void lose(const Error& error);
  void fail(const Error& error);
  void tear_down();

  Config config_;
  int exit_code_ = 0;
  bool up_ = false;  // a signal is now the ordinary end
  std::unique_ptr<linux_host::Command> command_;
  std::unique_ptr<linux_host::HostNetwork> host_;
  std::unique_ptr<linux_host::OutsideGroup> outside_;  // set: there is a ProxyCommand
  std::unique_ptr<linux_host::TerminalPrompter> prompter_;
  std::unique_ptr<io::Loop> loop_;
  std::vector<std::unique_ptr<io::Signal>> signals_;
  std::unique_ptr<io::FdWatcher> command_ended_;  // set while the command runs
  std::unique_ptr<linux_host::TunDevice> device_;
  std::unique_ptr<Tunnel> tunnel_;
  std::unique_ptr<linux_host::NetworkMonitor> monitor_;
  std::unique_ptr<io::Timer> settled_;  // some time after a change of the network
  std::unique_ptr<net::Attempt> names_watch_;
  std::unique_ptr<linux_host::SuspendMonitor> suspends_;
};

}  // namespace tunproxy::cli
