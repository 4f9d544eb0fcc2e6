#include "platform/linux/outside_group.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/io/loop.h"
#include "platform/linux/files.h"
#include "platform/linux/private_names.h"
#include "tests/unit/platform/sandbox.h"

namespace tunproxy::linux_host {
namespace {

using testing::shell;

constexpr uint32_t kMark = 0x2150;
constexpr const char* kShowMarks =
    "python3 -c 'import socket as s; print(*(hex(s.socket(f, t).getsockopt(1, 36)) for f in "
    "(s.AF_INET, s.AF_INET6) for t in (s.SOCK_STREAM, s.SOCK_DGRAM)))'; ";

// Where the system has no such thing the program refuses, and that is all there is to see.
bool supported(const Result<std::unique_ptr<OutsideGroup>>& group) {
  return group || group.error().code != ErrorCode::no_permission;
}

/// What a script that runs in the group writes, until it ends.
std::string run(const OutsideGroup& group, const std::string& script) {
  io::Loop loop;
  auto child = io::Child::start(loop, {{"sh", "-c", script}, "it", group.prepare_child(), false});
  if (!child) return child.error().message;
  std::string text;
  (*child)->on_progress([&] {
    text += as_text((*child)->peek());
    (*child)->consume((*child)->peek().size());
  });
  while (!(*child)->ended() && (*child)->error() == nullptr) loop.run_once();
  return text + ((*child)->error() != nullptr ? (*child)->error()->message : "");
}

TEST(OutsideGroup, ItsSocketsHaveTheMarkAndItsNamesAreTheMachines) {
  SANDBOXED([]() -> std::string {
    static_cast<void>(write_in_place("/etc/resolv.conf", "nameserver 192.0.2.53\n"));
    auto group = OutsideGroup::create(kMark);
    if (!supported(group)) return "";
    CHECK_THAT(group, group.error().message);
    static_cast<void>(write_in_place("/etc/resolv.conf", "nameserver 198.18.0.2\n"));
    const std::string mounts = shell("wc -l < /proc/self/mounts");
    const std::string said = run(**group, std::string(kShowMarks) + "cat /etc/resolv.conf");
    CHECK_THAT(said == "0x2150 0x2150 0x2150 0x2150\nnameserver 192.0.2.53\n", said);
    CHECK_THAT(shell(kShowMarks) == "0x0 0x0 0x0 0x0\n", "only those in the group");
    CHECK_THAT(shell("cat /etc/resolv.conf") == "nameserver 198.18.0.2\n");
    CHECK_THAT(shell("wc -l < /proc/self/mounts") == mounts, "no mount of its is ours");
    return "";
  });
}

TEST(OutsideGroup, NothingOfItIsLeft) {
  SANDBOXED([]() -> std::string {
    const std::string before = shell("find /sys/fs/cgroup -name 'tunproxy-outside-*'");
    auto group = OutsideGroup::create(kMark);
    if (!supported(group)) return "";
    CHECK_THAT(group, group.error().message);
    const std::string pid = run(**group, "setsid sleep 1000 >/dev/null 2>&1 <&- & echo $!");
    CHECK_THAT(::kill(std::stoi(pid), 0) == 0, "it left its process group: " + pid);
    group->reset();
    CHECK_THAT(::kill(std::stoi(pid), 0) != 0 || shell("ps -o stat= " + pid)[0] == 'Z', "it runs");
    CHECK_THAT(shell("find /sys/fs/cgroup -name 'tunproxy-outside-*'") == before);
    return "";
  });
}

TEST(OutsideGroup, ACrashLeavesNoProgramAndAnEmptyGroupForTheNext) {
  SANDBOXED([]() -> std::string {
    const pid_t crashed = ::fork();
    if (crashed == 0) {
      const auto group = OutsideGroup::create(kMark);
      ::_exit(group ? 0 : 1);  // without destructors
    }
    int status = 0;
    ::waitpid(crashed, &status, 0);
    if (status != 0) return "";
    const std::string name = "'tunproxy-outside-" + std::to_string(crashed) + "'";
    const std::string left = shell("find /sys/fs/cgroup -name " + name);
    CHECK_THAT(!left.empty(), "it crashed");
    const std::string directory = left.substr(0, left.find('\n'));
    const std::string marks =
        shell("sh -c 'echo $$ > " + directory + "/cgroup.procs; " +
              "exec python3 -c \"import socket; print(socket.socket().getsockopt(1, 36))\"'");
    CHECK_THAT(marks == "0\n", marks);
    const auto group = OutsideGroup::create(kMark);
    CHECK_THAT(group, group.error().message);
    CHECK_THAT(shell("find /sys/fs/cgroup -name " + name).empty(), "the orphan");
    return "";
  });
}

TEST(OutsideGroup, ARunThatCannotEnterDoesNotRun) {
  SANDBOXED([]() -> std::string {
    auto first = OutsideGroup::create(kMark);
    if (!supported(first)) return "";
    auto second = OutsideGroup::create(kMark);
    CHECK_THAT(second, "the former one of a process with our number is no obstacle");
    const std::string said = run(**first, "echo runs");
    CHECK_THAT(said.find("cannot run sh (enter the cgroup outside the tunnel)") == 0, said);
    return "";
  });
}

TEST(UplinkResolvConf, IsWhatStandsBehindAStub) {
  SANDBOXED([]() -> std::string {
    static_cast<void>(write_in_place("/etc/resolv.conf", "nameserver 127.0.0.53\n"));
    CHECK_THAT(uplink_resolv_conf() == "nameserver 127.0.0.53\n", "nothing is known behind it");
    ::mkdir("/run/systemd", 0755);
    ::mkdir("/run/systemd/resolve", 0755);
    static_cast<void>(replace_file("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.1\n"));
    CHECK_THAT(uplink_resolv_conf() == "nameserver 192.0.2.1\n", uplink_resolv_conf());
    static_cast<void>(write_in_place("/etc/resolv.conf", "nameserver 192.0.2.7\n"));
    CHECK_THAT(uplink_resolv_conf() == "nameserver 192.0.2.7\n", uplink_resolv_conf());
    return "";
  });
}

}  // namespace
}  // namespace tunproxy::linux_host
