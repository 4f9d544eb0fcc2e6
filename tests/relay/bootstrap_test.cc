// The command that starts the helper, under each login shell as sshd runs it (SHELL -c COMMAND),
// with start-up files that print things.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/udp/relay_bootstrap.h"
#include "tests/relay/helper_process.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kRelayFolder = fs::path(RELAY_BINARY).parent_path();

class Bootstrap : public ::testing::TestWithParam<const char*> {
 protected:
  Bootstrap() {
    char name[] = "/tmp/tunproxy-shell-XXXXXX";
    home_ = ::mkdtemp(name);
  }
  ~Bootstrap() override { fs::remove_all(home_); }

  void write(const fs::path& file, const std::string& text) const {
    fs::create_directories((home_ / file).parent_path());
    std::ofstream(home_ / file) << text;
  }
  /// Start-up files of all shells that read one for a command.
  void make_noisy() const {
    const std::string noise = "echo 'Welcome! Have a lot of fun.'\necho 'oh no' >&2\n";
    write(".bashrc", noise);
    write(".zshenv", noise);
    write(".cshrc", "echo 'Welcome. Have a lot of fun.'\n");
    write(".tcshrc", "echo 'Welcome. Have a lot of fun.'\n");
    write(".config/fish/config.fish", noise);
  }
  Result<std::unique_ptr<udp::RelayClient>> start(const std::string& path) {
    // SSH_CLIENT makes bash read .bashrc.
    helper_ = std::make_unique<HelperProcess>(
        std::vector<std::string>{shell_, "-c", udp::relay_command(told_)},
        std::vector<std::string>{"PATH=" + path, "HOME=" + home_.string(), "USER=nobody",
                                 "SSH_CLIENT=192.0.2.1 1 22", "SSH_CONNECTION=192.0.2.1 1 h 22"});
    const Bytes program = udp::relay_program();
    udp::RelayOptions options;
    options.program.assign(program.begin(), program.end());
    options.probe_timeout = 60s;  // a machine under load is no failure of the helper
    options.queue.age = 60s;
    return start_client(loop_, helper_->stream(loop_), options);
  }
  void expect_service(const std::string& path, const char* process) {
    auto client = start(path);
    ASSERT_TRUE(client) << client.error().message << helper_->errors();
    std::string name;
    std::getline(std::ifstream("/proc/" + std::to_string(helper_->pid()) + "/comm"), name);
    EXPECT_THAT(name, HasSubstr(process)) << "no shell may stay around it";
    EchoServer server(loop_);
    Flow flow(loop_, **client);
    flow.send(server.local(), "hello");
    EXPECT_TRUE(flow.wait_for(1));
    flow.session.reset();
    client->reset();
    EXPECT_EQ(helper_->wait(loop_), 0) << helper_->errors();
  }

  io::Loop loop_;
  fs::path home_;
  std::string shell_;
  udp::HelperOptions told_;
  std::unique_ptr<HelperProcess> helper_;
};

class EveryShell : public Bootstrap {
 protected:
  void SetUp() override {
    shell_ = GetParam();
    if (::access(GetParam(), X_OK) != 0) GTEST_SKIP() << GetParam() << " is not installed";
  }
};

INSTANTIATE_TEST_SUITE_P(Shells, EveryShell,
                         ::testing::Values("/bin/sh", "/bin/bash", "/bin/dash", "/bin/zsh",
                                           "/bin/csh", "/bin/bsd-csh", "/bin/tcsh",
                                           "/usr/bin/fish"),
                         [](const auto& test) {
                           std::string name = fs::path(test.param).filename();
                           std::erase(name, '-');
                           return name;
                         });

TEST_P(EveryShell, StartsPython) {
  expect_service("/usr/bin:/bin", "python3");
}

TEST_P(EveryShell, StartsPythonThroughNoise) {
  make_noisy();
  expect_service("/usr/bin:/bin", "python3");
}

TEST_P(EveryShell, PrefersTheInstalledRelay) {
  make_noisy();
  expect_service("/usr/bin:/bin:" + kRelayFolder.string(), "tunproxy-relay");
}

TEST_P(EveryShell, FindsARelayInTheHome) {
  fs::create_directories(home_ / "bin");
  fs::create_symlink(RELAY_BINARY, home_ / "bin/tunproxy-relay");
  expect_service("/usr/bin:/bin", "tunproxy-relay");
}

// The second association is one too many, and the first ends by itself.
TEST_P(EveryShell, EitherHelperKeepsToWhatItIsTold) {
  told_ = {1s, 1};
  for (const std::string& path :
       {std::string("/usr/bin:/bin"), "/usr/bin:/bin:" + kRelayFolder.string()}) {
    auto client = start(path);
    ASSERT_TRUE(client) << client.error().message << helper_->errors();
    EXPECT_EQ((*client)->helper().max_associations, 1u);
    Flow flow(loop_, **client);
    EXPECT_TRUE(Flow(loop_, **client).failure);
    EXPECT_TRUE(run_until(loop_, [&] { return flow.closed.has_value(); })) << "idle";
    flow.session.reset();
    client->reset();
  }
}

TEST_P(EveryShell, SaysWhatIsMissing) {
  fs::create_directories(home_ / "tools");
  fs::create_symlink("/bin/sh", home_ / "tools/sh");
  const auto client = start((home_ / "tools").string());
  if (client) GTEST_SKIP() << "this machine has a Python where others do not";
  EXPECT_THAT(client.error().message, HasSubstr("neither tunproxy-relay nor Python 3"));
}

class OneShell : public Bootstrap {};

TEST_F(OneShell, PassesOverARelayOfAnotherVersion) {
  shell_ = "/bin/sh";
  write("bin/tunproxy-relay", "#!/bin/sh\nexit 1\n");
  fs::permissions(home_ / "bin/tunproxy-relay", fs::perms::owner_all);
  expect_service("/usr/bin:/bin", "python3");
}

TEST_F(OneShell, QuotesWhatTheFarEndSaysInstead) {
  shell_ = fs::exists("/usr/sbin/nologin") ? "/usr/sbin/nologin" : "/sbin/nologin";
  if (!fs::exists(shell_)) GTEST_SKIP() << "no nologin here";
  const auto client = start("/usr/bin:/bin");
  ASSERT_FALSE(client);
  EXPECT_THAT(client.error().message, HasSubstr("not available"));
}

TEST_F(OneShell, NeedsNothingThatAShellTreatsSpecially) {
  const std::string command = udp::relay_command({1s, 2});
  EXPECT_TRUE(command.starts_with("exec sh -c '"));
  const std::string script = command.substr(12, command.size() - 13);
  EXPECT_EQ(command.back(), '\'');
  EXPECT_EQ(script.find_first_of("'\\!\n"), std::string::npos) << script;
  EXPECT_LT(udp::relay_program().size(), 16384u);
}

}  // namespace
}  // namespace tunproxy::testing
