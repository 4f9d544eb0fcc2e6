#include "tests/unit/ssh_login/login_fixture.h"

#include <pwd.h>
#include <unistd.h>

#include <utility>

#include "core/io/tcp.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::testing {

std::string this_user() {
  return ::getpwuid(::getuid())->pw_name;
}

ssh::UserLoginOptions LoginTest::options() {
  ssh::UserLoginOptions options;
  options.host = "server.example";
  options.user = account_ ? account_->name() : this_user();
  options.directory = scratch_.path(".ssh");
  options.system_known_hosts_files = {};
  options.host_key_policy = ssh::HostKeyPolicy::accept_new;
  options.prompter = &user_;
  options.credentials = credentials_;
  return options;
}

std::string LoginTest::log_in(ssh::UserLoginOptions options) {
  auto login = ssh::UserLogin::create(std::move(options));
  if (!login) return login.error().message;
  return open(std::move(*login));
}

std::string LoginTest::open(std::unique_ptr<ssh::Login> login) {
  io::Loop loop;
  std::optional<Result<std::unique_ptr<ssh::Session>>> outcome;
  auto attempt = ssh::Session::open(
      loop, std::make_unique<io::TcpStream>(loop, connect_()), std::move(login), {},
      [&](Result<std::unique_ptr<ssh::Session>> result) { outcome = std::move(result); });
  EXPECT_TRUE(run_until(
      loop, [&] { return outcome.has_value(); }, 60s));
  attempt.reset();
  std::string text = "no outcome";
  if (outcome) {
    text = *outcome ? "" : outcome->error().message;
    code_ = *outcome ? std::nullopt : std::optional(outcome->error().code);
    if (*outcome && use_) use_(loop, ***outcome);
  }
  outcome.reset();
  loop.run_once(false);
  return text;
}

bool LoginTest::need_account() {
  if (::getuid() != 0) return false;
  account_.emplace(kPassword);
  EXPECT_TRUE(account_->made());
  return true;
}

std::string LoginTest::certify(const std::string& authority, const std::string& key,
                               const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {"ssh-keygen", "-q", "-s", authority, "-I", "test"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  command.push_back(key + ".pub");
  EXPECT_EQ(run(command).status, 0);
  return key + "-cert.pub";
}

}  // namespace tunproxy::testing
