// A real sshd for one connection at a time, without a port: it talks over a pair of sockets.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/base/unique_fd.h"
#include "tests/unit/ssh_login/shell.h"

namespace tunproxy::testing {

class Server {
 public:
  /// `settings`: lines of sshd_config that go before the defaults of the test (so they win).
  Server(const ScratchDirectory& scratch, const std::string& settings);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// Starts an sshd for one connection; returns our end.
  UniqueFd connect();
  const std::string& host_key() const { return host_key_; }  ///< the text of its .pub file
  std::string log() const;
  const std::string& authorized_keys() const { return authorized_keys_; }

 private:
  std::string config_;
  std::string log_;
  std::string host_key_;
  std::string authorized_keys_;
  std::vector<pid_t> children_;
};

/// tests/unit/ssh_login/asyncssh_server.py: dialogues that sshd does not have.
class DialogueServer {
 public:
  DialogueServer(const ScratchDirectory& scratch, const std::string& kind);
  DialogueServer(const DialogueServer&) = delete;
  DialogueServer& operator=(const DialogueServer&) = delete;
  ~DialogueServer();

  static bool available();  ///< python3-asyncssh is installed
  UniqueFd connect() const;
  uint16_t port() const { return port_; }

 private:
  pid_t pid_ = 0;
  UniqueFd input_;
  uint16_t port_ = 0;
};

/// ssh-agent, with its own socket in SSH_AUTH_SOCK while it lives.
class RealAgent {
 public:
  explicit RealAgent(const ScratchDirectory& scratch);
  RealAgent(const RealAgent&) = delete;
  RealAgent& operator=(const RealAgent&) = delete;
  ~RealAgent();
  void add(const std::string& key_file);

 private:
  pid_t pid_ = 0;
};

}  // namespace tunproxy::testing
