#include "platform/linux/command.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "platform/linux/files.h"
#include "tests/unit/platform/sandbox.h"

namespace tunproxy::linux_host {
namespace {

using testing::shell;
using testing::shell_status;

constexpr int kLimit = 20000;  // ms, for anything
constexpr uid_t kNobody = 65534;

// A change of ids takes /proc/self away from its owner; an exec would give it back.
bool become_nobody() {
  return ::setgroups(0, nullptr) == 0 && ::setresgid(kNobody, kNobody, kNobody) == 0 &&
         ::setresuid(kNobody, kNobody, kNobody) == 0 && ::prctl(PR_SET_DUMPABLE, 1) == 0;
}

Result<std::unique_ptr<Command>> prepare(const std::string& script) {
  return Command::prepare({{"sh", "-c", script}, 1400});
}

bool readable(int fd) {
  pollfd wait{fd, POLLIN, 0};
  return ::poll(&wait, 1, kLimit) == 1;
}

// The exit code, or -1 if it does not end in time.
int finish(Command& command) {
  if (!command.start() || !readable(command.exit_fd())) return -1;
  return command.exit_code().value_or(-1);
}

int run(const std::string& script) {
  auto command = prepare(script);
  return command ? finish(**command) : -2;
}

std::string check_network() {
  const std::string there = shell("readlink /proc/self/ns/net");
  auto command = prepare(
      "test \"$(readlink /proc/self/ns/net)\" != \"$OUTSIDE\" || exit 10\n"
      "grep -q '^nameserver 198.18.0.2$' /etc/resolv.conf || exit 11\n"
      "ip route | grep -q '^default dev tun0' || exit 12\n"
      "ip -6 route | grep -q '^default dev tun0' || exit 13\n"
      "ip -br link show tun0 | grep -q UP || exit 14\n"
      "test \"$(id -u)\" = \"$OWN_ID\" || exit 15\n"
      "ip -o link show tun0 | grep -q 'mtu 1400' || exit 16\n"
      "test $(ip -o link | wc -l) = 2 || exit 17\n"
      "echo x | nc -u -w1 203.0.113.1 9; exit 42");
  CHECK_THAT(command, command ? "" : command.error().message);
  const UniqueFd tun = (*command)->take_tun();
  CHECK_THAT(tun && (*command)->tun().vnet_header && (*command)->tun().ipv6);
  CHECK_THAT(!(*command)->exit_code(), "it has not begun");
  const int code = finish(**command);
  CHECK_THAT(code == 42, std::to_string(code));
  CHECK_THAT(readable(tun.get()), "its packet");
  uint8_t packet[2048];
  CHECK_THAT(::read(tun.get(), packet, sizeof packet) > 10);
  return "";
}

std::string as_user(uid_t user, std::string (*check)()) {
  ::setenv("OUTSIDE", shell("printf %s \"$(readlink /proc/self/ns/net)\"").c_str(), 1);
  ::setenv("OWN_ID", std::to_string(user).c_str(), 1);
  if (user != 0 && !become_nobody()) return "cannot become nobody";
  return check();
}

TEST(Command, GivesAnUnprivilegedCommandANetworkOfItsOwn) {
  SANDBOXED([] { return as_user(kNobody, check_network); });
}

TEST(Command, WorksAsRootToo) {
  SANDBOXED([] { return as_user(0, check_network); });
}

TEST(Command, PassesExitCodesOn) {
  SANDBOXED([]() -> std::string {
    CHECK_THAT(run("exit 0") == 0 && run("exit 7") == 7);
    CHECK_THAT(run("kill -TERM $$") == 128 + SIGTERM);
    for (const auto& [program, code] :
         {std::pair{"/nonexistent/program", 127}, {"/etc/passwd", 126}}) {
      auto command = Command::prepare({{program}, 1500});
      CHECK_THAT(command && finish(**command) == code, program);
    }
    return "";
  });
}

TEST(Command, ForwardsSignals) {
  SANDBOXED([]() -> std::string {
    auto command = prepare("trap 'exit 9' TERM; touch /run/ready; while :; do sleep 0.05; done");
    CHECK_THAT(command && (*command)->start());
    CHECK_THAT(shell_status("for i in $(seq 400); do test -e /run/ready && exit 0; sleep 0.05; "
                            "done; exit 1") == 0);
    (*command)->forward(SIGTERM);
    CHECK_THAT(readable((*command)->exit_fd()) && (*command)->exit_code() == 9);
    return "";
  });
}

TEST(Command, NeverRunsUnlessStarted) {
  SANDBOXED([]() -> std::string {
    auto command = prepare("touch /run/began");
    CHECK_THAT(command);
    const UniqueFd exited(::fcntl((*command)->exit_fd(), F_DUPFD_CLOEXEC, 0));
    command->reset();
    CHECK_THAT(readable(exited.get()) && ::access("/run/began", F_OK) != 0);
    return "";
  });
}

TEST(Command, EndsWithItsParentEvenIfThatIsKilled) {
  SANDBOXED([]() -> std::string {
    if (!become_nobody()) return "cannot become nobody";
    int ends[2];
    CHECK_THAT(::pipe(ends) == 0);
    const pid_t parent = ::fork();
    if (parent == 0) {
      auto command = Command::prepare({{"sleep", "1000"}, 1500});  // holds the pipe open
      if (!command || !(*command)->start()) ::_exit(1);
      // exec has happened when the channel, which closes on exec, is gone: wait for the name
      // instead.
      shell("for i in $(seq 400); do pgrep -P " + std::to_string(::getpid()) +
            " -x sleep && break; sleep 0.05; done");
      ::kill(::getpid(), SIGKILL);
    }
    ::close(ends[1]);
    int status = 0;
    ::waitpid(parent, &status, 0);
    CHECK_THAT(WIFSIGNALED(status));
    CHECK_THAT(readable(ends[0]), "the command is gone: the pipe has ended");
    return "";
  });
}

TEST(Command, CoversEveryKindOfResolvConf) {
  SANDBOXED([]() -> std::string {
    shell(
        "mkdir -p /run/systemd/resolve /run/nscd; echo secret > /run/nscd/socket; "
        "echo nameserver 127.0.0.53 > /run/systemd/resolve/stub-resolv.conf; "
        "touch /run/systemd/resolve/io.systemd.Resolve");
    if (::chmod("/etc", 0755) != 0) return "chmod";
    for (const char* kind :
         {"ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf",
          "ln -s /run/nowhere /etc/resolv.conf", "true",
          "echo nameserver 192.0.2.1 > /run/real; ln -s /run/real /etc/resolv.conf"}) {
      shell(std::string("rm -f /etc/resolv.conf; ") + kind);
      const std::string outside = shell("cat /etc/resolv.conf");
      auto command = prepare(
          "grep -q '^nameserver 198.18.0.2$' /etc/resolv.conf && "
          "! grep -qv -e '^#' -e '^nameserver 198.18.0.2$' /etc/resolv.conf && "
          "! test -e /run/nscd/socket && ! test -e /run/systemd/resolve/io.systemd.Resolve && "
          "test -e /etc/passwd");
      CHECK_THAT(command, command ? "" : kind + command.error().message);
      const int code = finish(**command);
      CHECK_THAT(code == 0, kind + std::to_string(code));
      CHECK_THAT(shell("cat /etc/resolv.conf") == outside, "outside is untouched");
    }
    return "";
  });
}

TEST(Command, SaysWhatIsForbidden) {
  SANDBOXED([]() -> std::string {
    CHECK_THAT(::chmod("/dev/net/tun", 0600) == 0);
    if (!become_nobody()) return "cannot become nobody";
    auto command = prepare("true");
    CHECK_THAT(!command && command.error().code == ErrorCode::no_permission);
    CHECK_THAT(command.error().message.find("no permission to open /dev/net/tun") == 0,
               command.error().message);
    return "";
  });
}

}  // namespace
}  // namespace tunproxy::linux_host
