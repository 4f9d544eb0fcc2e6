// UserLogin against a real server: what the tests of authentication and of host keys share.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/ssh/session.h"
#include "core/ssh/user_login.h"
#include "tests/unit/ssh_login/account.h"
#include "tests/unit/ssh_login/scripted_prompter.h"
#include "tests/unit/ssh_login/server.h"
#include "tests/unit/ssh_login/shell.h"

namespace tunproxy::testing {

constexpr const char* kPassword = "correct horse battery";

/// Who runs the tests.
std::string this_user();

class LoginTest : public ::testing::Test {
 protected:
  LoginTest() { ::unsetenv("SSH_AUTH_SOCK"); }

  void serve(const std::string& settings = {}) { server_.emplace(scratch_, settings); }
  void authorize(const std::string& public_key) {
    write_file(server_->authorized_keys(), public_key, 0644);
  }
  ssh::UserLoginOptions options();
  /// "" or the error's text; its code is in code_.
  std::string log_in(ssh::UserLoginOptions options);
  std::string open(std::unique_ptr<ssh::Login> login);
  /// Makes a user with kPassword; false without root.
  bool need_account();
  /// ssh-keygen -s: makes "<key>-cert.pub" for the key file `key` and returns its path.
  std::string certify(const std::string& authority, const std::string& key,
                      const std::vector<std::string>& arguments);

  ScratchDirectory scratch_;
  std::optional<Account> account_;
  std::optional<Server> server_;  // before the account, which cannot go while it is logged in
  ScriptedPrompter user_;
  std::shared_ptr<ssh::Credentials> credentials_ = std::make_shared<ssh::Credentials>();
  std::optional<ErrorCode> code_;
  std::function<UniqueFd()> connect_ = [this] { return server_->connect(); };
  std::function<void(io::Loop&, ssh::Session&)> use_;  ///< what to do with an open session
};

}  // namespace tunproxy::testing
