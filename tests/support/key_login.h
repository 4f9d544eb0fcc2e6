// A Login for tests of the SSH session: takes any host key and logs in with one key file.
#pragma once

#include <string>
#include <utility>

#include "core/ssh/login.h"

namespace tunproxy::testing {

class KeyLogin final : public ssh::Login {
 public:
  KeyLogin(std::string user, std::string identity)
      : user_(std::move(user)), identity_(std::move(identity)) {}

  std::string host_key_algorithms() override { return "ssh-ed25519"; }
  Result<void> check_host_key(const ssh::HostKey& key) override;
  Result<bool> authenticate(_LIBSSH2_SESSION* session) override;
  bool waits_for_user() const override { return false; }
  void cancel() override {}

 private:
  const std::string user_;
  const std::string identity_;
};

}  // namespace tunproxy::testing
