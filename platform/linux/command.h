// Command: `-- COMMAND…`, one command whose whole network is the tunnel. Needs no root.
//
// A child enters a new user, network and mount namespace (as root: no user namespace), makes a TUN
// there with default routes into it, puts the tunnel's resolver into a resolv.conf of its own,
// hides the sockets of local resolvers, and hands the TUN's descriptor to us. Then it waits, and
// becomes the command when told. Nothing of the machine changes, and there is nothing to put back:
// all of it ends with the last process in it. If we die, the command gets SIGHUP, and its network
// leads nowhere.
//
// The command keeps our terminal, process group, directory, environment and descriptors. While it
// runs, ignore SIGINT and SIGQUIT (the terminal sends them to it too) and forward() SIGTERM and
// SIGHUP.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/unique_fd.h"
#include "platform/linux/tun_interface.h"

namespace tunproxy::linux_host {

struct CommandOptions {
  std::vector<std::string> argv;  ///< argv[0] is looked up in PATH; not empty
  uint16_t mtu = 1500;
};

class Command {
 public:
  /// Forks, and waits until the namespace and the TUN are there; the command does not run yet.
  /// Error no_permission, with what to do, where the system forbids namespaces or the TUN.
  static Result<std::unique_ptr<Command>> prepare(const CommandOptions& options);
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  /// A command that still runs gets SIGHUP; one that was not started never runs.
  ~Command();

  /// Hands the TUN's descriptor over, once.
  UniqueFd take_tun() { return std::move(tun_.fd); }
  const TunInterface& tun() const { return tun_; }  ///< MTU, vnet header, addresses
  /// The address that the command asks for names: its port 53 must be answered.
  const IpAddress& resolver() const { return tun_.addresses.resolver; }

  /// Lets the command begin. One that cannot be executed says so on stderr and exits 127 (not
  /// found) or 126, as from a shell.
  Result<void> start();
  /// Readable when the command has ended. Owned here.
  int exit_fd() const { return exit_fd_.get(); }
  /// The command's exit code, 128 + N after signal N; empty while it runs. Does not block.
  std::optional<int> exit_code();
  void forward(int signal_number) const;

 private:
  Command(pid_t child, UniqueFd channel) : child_(child), channel_(std::move(channel)) {}
  Result<void> receive_tun();

  pid_t child_;
  UniqueFd channel_;
  UniqueFd exit_fd_;
  TunInterface tun_;
  std::optional<int> exit_code_;
};

}  // namespace tunproxy::linux_host
