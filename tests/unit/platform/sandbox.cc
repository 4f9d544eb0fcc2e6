#include "tests/unit/platform/sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/base/unique_fd.h"

namespace tunproxy::testing {
namespace {

constexpr unsigned kLimitSeconds = 60;

// The uplink is a dummy interface with a default route in both families: what leaves by it is
// counted.
constexpr const char* kFurnish = R"(
set -e
mount --make-rprivate /
mount -t tmpfs none /run
mount -t tmpfs none /mnt
echo 'nameserver 192.0.2.53' > /mnt/resolv.conf
mount -t tmpfs none /dev/net 2>/dev/null || { mkdir -p /dev/net; mount -t tmpfs none /dev/net; }
mknod -m 0666 /dev/net/tun c 10 200
# other tests make users meanwhile, whose lock files come and go
cp -a /etc /mnt/etc || true; mount --bind /mnt/etc /etc
rm -f /etc/resolv.conf; cp /mnt/resolv.conf /etc/resolv.conf
ip link set lo up
ip link add uplink type veth peer name beyond
for end in uplink beyond; do ip link set $end addrgenmode none; ip link set $end up; done
ip addr add 192.0.2.2/24 dev uplink; ip -6 addr add 2001:db8:1::2/64 dev uplink nodad
ip route add default via 192.0.2.1; ip -6 route add default via 2001:db8:1::1
ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev uplink
ip neigh add 2001:db8:1::1 lladdr 02:00:00:00:00:01 dev uplink
)";

int run_in_namespaces(const std::function<std::string()>& body, int report) {
  ::alarm(kLimitSeconds);
  std::string failed;
  if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) {
    failed = std::string("unshare: ") + std::strerror(errno);
  } else if (shell_status(kFurnish) != 0) {
    failed = "cannot furnish the sandbox: " + shell(kFurnish);
  } else {
    failed = body();
  }
  const auto written = ::write(report, failed.data(), failed.size());
  return failed.empty() && written == 0 ? 0 : 1;
}

}  // namespace

std::string why_no_sandbox() {
  if (::geteuid() != 0) return "needs root (network and mount namespaces)";
  const pid_t probe = ::fork();
  if (probe == 0) ::_exit(::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 ? 0 : 1);
  int status = 0;
  ::waitpid(probe, &status, 0);
  return status == 0 ? "" : "needs the right to make network and mount namespaces";
}

void in_sandbox(const std::function<std::string()>& body) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(run_in_namespaces(body, write_end.get()));
  write_end.reset();
  std::string failed;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(read_end.get(), buffer, sizeof buffer)) > 0;) {
    failed.append(buffer, static_cast<size_t>(n));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(failed, "");
  EXPECT_EQ(status, 0) << "wait status of the sandbox";
}

std::string shell(const std::string& command) {
  std::FILE* pipe = ::popen(("{ " + command + "\n} 2>&1").c_str(), "r");
  std::string output;
  std::array<char, 4096> buffer{};
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), n);
  }
  ::pclose(pipe);
  return output;
}

int shell_status(const std::string& command) {
  std::FILE* pipe = ::popen(("{ " + command + "\n} >/dev/null 2>&1").c_str(), "r");
  const int status = ::pclose(pipe);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string machine_state() {
  return shell(
      "ip rule; ip -6 rule; ip route show table all; ip -6 route show table all; ip addr; "
      "ls -l /etc/resolv.conf | cut -d' ' -f1,3,4,10-; cat /etc/resolv.conf; ls -A /run; "
      "grep . /proc/sys/net/ipv4/conf/*/rp_filter /proc/sys/net/ipv4/conf/*/src_valid_mark");
}

}  // namespace tunproxy::testing
