#include "core/ssh/openssh_config.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <vector>

#include "core/base/unique_fd.h"
#include "core/io/system.h"

extern char** environ;

namespace tunproxy::ssh {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kMaxOutput = 256 * 1024;

Error wrong(std::string message) {
  return {ErrorCode::usage, std::move(message)};
}

struct Pipe {
  UniqueFd read, write;

  static Result<Pipe> make() {
    int fds[2];
    if (!io::open_pipe(fds)) return error_from_errno(errno, "making a pipe");
    return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
  }
};

// A process in a group of its own, so that what it started can be killed with it.
class Process {
 public:
  // An error number of posix_spawnp().
  int start(const std::vector<std::string>& words, int output, int errors) {
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, output, 1);
    ::posix_spawn_file_actions_adddup2(&actions, errors, 2);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    const int problem =
        ::posix_spawnp(&id_, arguments[0], &actions, &attributes, arguments.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    if (problem != 0) id_ = -1;
    return problem;
  }

  Process() = default;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    kill();
    finish();
  }

  void kill() {
    if (id_ > 0) ::kill(-id_, SIGKILL);
  }

  // Its exit code, or -1 if it did not exit.
  int finish() {
    if (id_ < 0) return -1;
    int status = 0;
    pid_t ended = 0;
    do {
      ended = ::waitpid(id_, &status, 0);
    } while (ended < 0 && errno == EINTR);
    id_ = -1;
    return ended > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t id_ = -1;
};

struct Output {
  std::string text, errors;
  int exit_code = 0;
};

// True: there may be more.
bool read_some(int fd, std::string& to) {
  std::array<char, 8192> buffer;
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  if (got > 0) to.append(buffer.data(), static_cast<size_t>(got));
  return got > 0 || (got < 0 && errno == EINTR);
}

// Until both pipes end.
Result<void> read_both(Pipe& text, Pipe& errors, Output& output, Clock::time_point deadline) {
  pollfd fds[2] = {{text.read.get(), POLLIN, 0}, {errors.read.get(), POLLIN, 0}};
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return wrong("ssh -G takes too long (a Match exec, or a name?)");
    if (::poll(fds, 2, static_cast<int>(left.count())) < 0) {
      if (errno == EINTR) continue;
      return error_from_errno(errno, "waiting for ssh -G");
    }
    if (fds[0].revents != 0 && !read_some(fds[0].fd, output.text)) fds[0].fd = -1;
    if (fds[1].revents != 0 && !read_some(fds[1].fd, output.errors)) fds[1].fd = -1;
    if (output.text.size() + output.errors.size() > kMaxOutput) {
      return wrong("ssh -G prints too much");
    }
  }
  return {};
}

Result<std::optional<Output>> run(const std::vector<std::string>& words, Duration patience) {
  auto text = Pipe::make();
  auto errors = Pipe::make();
  if (!text) return text.error();
  if (!errors) return errors.error();
  Process process;
  const int problem = process.start(words, text->write.get(), errors->write.get());
  if (problem == ENOENT) return std::optional<Output>();
  if (problem != 0) return error_from_errno(problem, "running " + words.front());
  text->write.reset();
  errors->write.reset();
  Output output;
  if (auto read = read_both(*text, *errors, output, Clock::now() + patience); !read) {
    return read.error();
  }
  output.exit_code = process.finish();
  return std::optional<Output>(std::move(output));
}

std::vector<std::string> words_for(const OpensshQuery& query, const std::string& file) {
  std::vector<std::string> words = {query.program, "-G"};
  if (!file.empty()) words.insert(words.end(), {"-F", file});
  if (query.port != 0) words.insert(words.end(), {"-p", std::to_string(query.port)});
  if (!query.user.empty()) words.insert(words.end(), {"-l", query.user});
  words.insert(words.end(), {"--", query.host});
  return words;
}

// The first line says what is wrong; the others that ssh gives up.
std::string complaint(const Output& output) {
  std::string line = output.errors.substr(0, output.errors.find_first_of("\r\n"));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, '?');
  return line.empty() ? fmt::format("ssh -G ends with code {}", output.exit_code) : line;
}

Result<std::optional<OpensshOptions>> options_for(const OpensshQuery& query,
                                                  const std::string& file) {
  auto output = run(words_for(query, file), query.patience);
  if (!output) return output.error();
  if (!*output) return std::optional<OpensshOptions>();
  if ((*output)->exit_code != 0) return wrong("ssh_config: " + complaint(**output));
  auto options = parse_openssh_output((*output)->text);
  if (!options) return options.error();
  return std::optional<OpensshOptions>(std::move(*options));
}

// Nothing if this user has no account, without which ssh does nothing.
std::optional<OpensshUser> who_asks() {
  OpensshUser user;
  user.id = ::getuid();
  passwd entry{};
  passwd* found = nullptr;
  char buffer[16 * 1024];
  if (::getpwuid_r(user.id, &entry, buffer, sizeof buffer, &found) != 0 || found == nullptr) {
    return std::nullopt;
  }
  user.name = found->pw_name;
  user.home = found->pw_dir;  // as ssh, which does not ask HOME
  char machine[256] = {};
  if (::gethostname(machine, sizeof machine - 1) == 0) user.machine = machine;
  return user;
}

}  // namespace

Result<std::optional<OpensshConfig>> ask_openssh(const OpensshQuery& query) {
  if (!Target::valid_name(query.host) || query.host.front() == '-' || query.user.starts_with('-')) {
    return wrong(fmt::format("'{}' is no name of an SSH server", query.host));
  }
  const auto user = who_asks();
  if (!user) return std::optional<OpensshConfig>();
  auto options = options_for(query, query.file);
  if (!options) return options.error();
  if (!*options) return std::optional<OpensshConfig>();
  auto defaults = options_for(query, "none");
  if (!defaults) return defaults.error();
  if (!*defaults) return std::optional<OpensshConfig>();
  auto config = interpret_openssh(**options, **defaults, query.host, *user);
  if (!config) return config.error();
  return std::optional<OpensshConfig>(std::move(*config));
}

}  // namespace tunproxy::ssh
