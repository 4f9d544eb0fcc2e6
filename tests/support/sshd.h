// A real OpenSSH server for the tests, on 127.0.0.1, with keys and a configuration of its own.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/base/unique_fd.h"

namespace tunproxy::testing {

/// Runs as the user of the test, for whom it accepts one key. Dies with this object.
class Sshd {
 public:
  /// `config`: lines of sshd_config that stand before the fixture's own (the first of a kind
  /// counts). Throws std::runtime_error if it does not start.
  explicit Sshd(const std::string& config = "");
  Sshd(const Sshd&) = delete;
  Sshd& operator=(const Sshd&) = delete;
  ~Sshd();

  uint16_t port() const { return port_; }
  const std::string& user() const { return user_; }
  std::string identity() const { return directory_ / "identity"; }  ///< the private key's file
  std::string host_key() const { return directory_ / "host_key.pub"; }
  const std::filesystem::path& directory() const { return directory_; }

  /// Kills it and the processes of all its connections, without a goodbye.
  void kill();
  /// kill(), and a new one at the same port.
  void restart() {
    kill();
    start();
  }
  /// Sends a signal to it and to the processes of all its connections: SIGSTOP freezes it.
  void signal(int number) const;
  /// Only to the latter.
  void signal_connections(int number) const;
  /// Where the processes of its connections listen (IPv4).
  std::vector<Endpoint> forwards() const;

 private:
  void generate_key(const char* name, const char* type) const;
  void write_config(const std::string& config) const;
  void start();
  void wait_until_it_listens() const;

  std::filesystem::path directory_;
  std::string user_;
  UniqueFd reserved_;
  uint16_t port_;
  pid_t pid_ = -1;
};

}  // namespace tunproxy::testing
