#include "platform/linux/resolved.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <sstream>

#include "core/base/unique_fd.h"

namespace tunproxy::linux_host {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kSocket = "/run/systemd/resolve/io.systemd.Resolve";
constexpr std::chrono::milliseconds kTimeout{5000};
constexpr size_t kMostOutput = 256 * 1024;

int left_until(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
  return static_cast<int>(std::max<int64_t>(left.count(), 0));
}

// All that comes until the end; false if the end does not come in time.
bool read_all(int fd, Clock::time_point deadline, std::string& to) {
  while (to.size() < kMostOutput) {
    pollfd wait{fd, POLLIN, 0};
    if (::poll(&wait, 1, left_until(deadline)) <= 0) return false;
    char buffer[4096];
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n == 0) return true;
    if (n > 0) to.append(buffer, static_cast<size_t>(n));
    if (n < 0 && errno != EINTR) return false;
  }
  return false;
}

pid_t start(std::vector<std::string>& arguments, int out) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&files, out, 1);
  posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_RDWR, 0);
  pid_t child = -1;
  const int failed = ::posix_spawnp(&child, argv[0], &files, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  return failed == 0 ? child : -1;
}

// What it printed; nullopt: it is not there, failed, or hung.
std::optional<std::string> resolvectl(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "resolvectl");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const pid_t child = start(arguments, writer.get());
  writer.reset();
  if (child < 0) return std::nullopt;
  const auto deadline = Clock::now() + kTimeout;
  std::string output;
  const bool ended = read_all(reader.get(), deadline, output);
  const UniqueFd exited(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  pollfd wait{exited.get(), POLLIN, 0};
  if (!ended || (exited && ::poll(&wait, 1, left_until(deadline)) == 0)) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return output;
}

constexpr std::array<const char*, 3> kKinds = {"domain", "llmnr", "mdns"};

bool set(const std::string& kind, const std::string& link, std::vector<std::string> values) {
  values.insert(values.begin(), {kind, link});
  return resolvectl(std::move(values)).has_value();
}

bool unset(const LinkSetting& setting) {
  return set(setting.kind, setting.link, {setting.kind == "domain" ? "" : "no"});
}

std::vector<LinkSetting> settings_of(const std::string& kind) {
  return parse_link_settings(kind, resolvectl({kind}).value_or(""));
}

Error refused(const std::string& what) {
  return {ErrorCode::general, "systemd-resolved does not take " + what};
}

}  // namespace

bool resolved_runs() {
  return ::access(kSocket, F_OK) == 0 && resolvectl({"status"});
}

std::vector<LinkSetting> ways_beside(const std::string& tun) {
  std::vector<LinkSetting> found;
  for (const char* kind : kKinds) {
    for (LinkSetting& each : settings_of(kind)) {
      if (each.link != tun) found.push_back(std::move(each));
    }
  }
  return found;
}

// "Link 2 (eth0): example.lan ~example.org"
std::vector<LinkSetting> parse_link_settings(const std::string& kind, const std::string& text) {
  std::vector<LinkSetting> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t opening = line.find('(');
    const size_t closing = line.find("):", opening);
    if (line.rfind("Link ", 0) != 0 || closing == std::string::npos) continue;
    LinkSetting link{kind, line.substr(opening + 1, closing - opening - 1), {}};
    std::istringstream words(line.substr(closing + 2));
    for (std::string word; words >> word;) link.values.push_back(word);
    const bool nothing = link.values.empty() || link.values == std::vector<std::string>{"no"};
    if (!link.link.empty() && !nothing) found.push_back(std::move(link));
  }
  return found;
}

Result<void> install_resolved(const std::string& tun, const IpAddress& resolver) {
  const bool told = set("dns", tun, {resolver.to_string()}) && set("domain", tun, {"~."}) &&
                    set("default-route", tun, {"yes"});
  if (told) return {};
  return refused("the tunnel's resolver (resolvectl dns " + tun + " …)");
}

Result<void> take_away(const std::vector<LinkSetting>& settings) {
  for (const LinkSetting& each : settings) {
    const bool gone = ::if_nametoindex(each.link.c_str()) == 0;
    if (!gone && !unset(each)) {
      return refused("that " + each.link + " is asked nothing (resolvectl " + each.kind + " …)");
    }
  }
  return {};
}

Result<void> give_back(const std::vector<LinkSetting>& settings) {
  if (settings.empty() || !resolved_runs()) return {};
  const std::vector<LinkSetting> now = ways_beside("");
  for (const LinkSetting& each : settings) {
    const bool has_others = std::any_of(now.begin(), now.end(), [&](const LinkSetting& other) {
      return other.link == each.link && other.kind == each.kind;
    });
    const bool gone = ::if_nametoindex(each.link.c_str()) == 0;
    if (has_others || gone || set(each.kind, each.link, each.values)) continue;
    return refused("what " + each.link + " had (resolvectl " + each.kind + " …)");
  }
  return {};
}

}  // namespace tunproxy::linux_host
