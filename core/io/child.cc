// In the order of a child's life.
#include "core/io/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "core/base/log.h"

namespace tunproxy::io {
namespace {

constexpr int kMillisecondsToExit = 100;  // between SIGHUP and SIGKILL

constexpr unsigned kCloseOnExec = 1U << 2;  // CLOSE_RANGE_CLOEXEC, which older headers lack

// What the child could not do. The text is a literal: it is where it was before the fork.
struct Complaint {
  const char* doing;
  int error_number;
};

}  // namespace

// Ends of ours in front, those of the child behind.
struct Child::Pipes {
  UniqueFd to, from, complaints, news;
  UniqueFd input, output, error, tell;

  static Result<Pipes> open() {
    Pipes pipes;
    int to[2] = {-1, -1};
    int from[2] = {-1, -1};
    int complaints[2] = {-1, -1};
    int news[2] = {-1, -1};
    // Sockets, because writing to a pipe can raise a signal.
    const bool opened = ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, to) == 0 &&
                        ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, from) == 0 &&
                        ::pipe2(complaints, O_CLOEXEC) == 0 && ::pipe2(news, O_CLOEXEC) == 0;
    const int error_number = errno;
    for (const auto& [ours, theirs, pair] :
         {std::tuple(&pipes.to, &pipes.input, to), std::tuple(&pipes.from, &pipes.output, from),
          std::tuple(&pipes.complaints, &pipes.error, complaints),
          std::tuple(&pipes.news, &pipes.tell, news)}) {
      ours->reset(pair[0]);
      theirs->reset(pair[1]);
    }
    if (!opened) return error_from_errno(error_number, "cannot make a pipe");
    ::shutdown(pipes.to.get(), SHUT_RD);
    ::fcntl(pipes.complaints.get(), F_SETFL, O_NONBLOCK);
    return pipes;
  }
};

namespace {

void reset_signals() {
  std::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

// Between fork and exec: nothing here allocates or takes a lock.
[[noreturn]] void become(const int (&fds)[3], int tell, pid_t parent, const PrepareChild& prepare,
                         char* const* argv) {
  Complaint complaint{"start it", 0};
  ::setsid();
  reset_signals();
  ::prctl(PR_SET_PDEATHSIG, SIGHUP);
  if (::getppid() != parent) ::_exit(1);
  const bool wired = ::dup2(fds[0], STDIN_FILENO) >= 0 && ::dup2(fds[1], STDOUT_FILENO) >= 0 &&
                     ::dup2(fds[2], STDERR_FILENO) >= 0;
  ::syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, kCloseOnExec);
  const char* failed = wired && prepare ? prepare() : nullptr;
  if (failed != nullptr) {
    complaint.doing = failed;
  } else if (wired) {
    ::execvp(argv[0], argv);
  }
  complaint.error_number = errno;
  (void)!::write(tell, &complaint, sizeof complaint);
  ::_exit(127);
}

Result<void> started(int news, const std::string& program) {
  Complaint complaint{};
  ssize_t n = -1;
  do {
    n = ::read(news, &complaint, sizeof complaint);
  } while (n < 0 && errno == EINTR);
  if (n != static_cast<ssize_t>(sizeof complaint)) return {};
  return Error{ErrorCode::usage, fmt::format("cannot run {} ({}): {}", program, complaint.doing,
                                             std::strerror(complaint.error_number))};
}

void reap(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<std::unique_ptr<Child>> Child::start(Loop& loop, const ChildOptions& options) {
  assert(!options.argv.empty());
  auto pipes = Pipes::open();
  if (!pipes) return pipes.error();
  std::vector<char*> argv;
  for (const std::string& word : options.argv) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const int fds[3] = {pipes->input.get(), pipes->output.get(), pipes->error.get()};
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) become(fds, pipes->tell.get(), parent, options.prepare, argv.data());
  if (pid < 0) return error_from_errno(errno, "cannot start a process");
  pipes->input.reset();
  pipes->output.reset();
  pipes->error.reset();
  pipes->tell.reset();
  UniqueFd exited(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  auto running = started(pipes->news.get(), options.argv[0]);
  if (!exited) running = error_from_errno(errno, "cannot watch a process");
  if (!running) {
    ::kill(pid, SIGKILL);
    reap(pid);
    return running.error();
  }
  return std::unique_ptr<Child>(
      new Child(loop, options, pid, std::move(exited), std::move(*pipes)));
}

Child::Child(Loop& loop, const ChildOptions& options, pid_t pid, UniqueFd exited, Pipes pipes)
    : name_(options.name),
      endless_(options.endless),
      time_to_exit_(options.patience),
      pid_(pid),
      exit_fd_(std::move(exited)),
      complaints_(std::move(pipes.complaints)),
      to_(std::make_unique<TcpStream>(loop, std::move(pipes.to))),
      from_(std::make_unique<TcpStream>(loop, std::move(pipes.from))),
      exit_watcher_(loop, exit_fd_.get(), [this](auto) { on_exit(); }),
      complaint_watcher_(loop, complaints_.get(), [this](auto) { read_complaints(); }),
      patience_(loop, [this] { settle(); }),
      look_(loop, [this] { look(); }) {
  log::debug("process {} started", pid_);
  exit_watcher_.want(true, false);
  complaint_watcher_.want(true, false);
  to_->on_progress([this] { look(); });
}

void Child::on_progress(std::function<void()> look_again) {
  look_again_ = std::move(look_again);
  if (look_again_) {
    from_->on_progress([this] { look(); });
  } else {
    from_->on_progress(nullptr);
  }
}

void Child::consume(size_t n) {
  from_->consume(n);
  if (to_->error() != nullptr) look_.schedule();  // the last of what it said before
}

void Child::set_state(State next) {
  assert(next != state_ && state_ != State::ended && state_ != State::failed);
  log::debug("process {}: state {} -> {}", pid_, static_cast<int>(state_), static_cast<int>(next));
  state_ = next;
}

// Something came, went, or ended.
void Child::look() {
  const bool over = from_->ended() || from_->error() != nullptr ||
                    (to_->error() != nullptr && from_->peek().empty());
  if (over && state_ == State::running) {
    set_state(State::closing);
    patience_.start(exited_ ? 0ms : time_to_exit_);
  }
  if (look_again_) look_again_();
}

void Child::on_exit() {
  siginfo_t how{};
  if (::waitid(P_PID, static_cast<id_t>(pid_), &how, WEXITED | WNOHANG | WNOWAIT) != 0) return;
  if (how.si_pid != pid_) return;
  exit_watcher_.want(false, false);
  exited_ = true;
  status_ = how.si_code == CLD_EXITED ? how.si_status << 8 : how.si_status;
  if (state_ == State::closing) patience_.start(0ms);
}

// Its exit status is known, or was waited for long enough.
void Child::settle() {
  read_complaints();
  const bool well =
      !endless_ && from_->ended() && (!exited_ || status_ == 0) && to_->error() == nullptr;
  if (!well) {
    error_ = {ErrorCode::server_unreachable, last_words()};
    set_state(State::failed);
  } else {
    set_state(State::ended);
  }
  if (look_again_) look_again_();
}

void Child::read_complaints() {
  char buffer[1024];
  ssize_t n = 0;
  while ((n = ::read(complaints_.get(), buffer, sizeof buffer)) > 0) {
    for (const char c : std::string_view(buffer, static_cast<size_t>(n))) {
      if (c == '\n') {
        on_complaint(std::exchange(line_, {}));
      } else if (line_.size() < kLongestLine) {
        line_ += c >= 0x20 && c < 0x7f ? c : ' ';
      }
    }
  }
  if (n == 0) {
    on_complaint(std::exchange(line_, {}));
    complaint_watcher_.want(false, false);
  }
}

void Child::on_complaint(std::string_view line) {
  const size_t first = line.find_first_not_of(' ');
  if (first == std::string_view::npos) return;
  line = line.substr(first, line.find_last_not_of(' ') - first + 1);
  log::debug("process {} says: {}", pid_, line);
  if (first_line_.empty()) first_line_ = line;
}

std::string Child::last_words() const {
  std::string how = name_ + " closed its input or output";
  if (exited_ && WIFSIGNALED(status_)) {
    how = fmt::format("{} was ended by signal {}", name_, WTERMSIG(status_));
  } else if (exited_) {
    how = fmt::format("{} ended with exit status {}", name_, WEXITSTATUS(status_));
  }
  return first_line_.empty() ? how : fmt::format("{}: {}", how, first_line_);
}

// Not reaped before the last signal: until then the group's number cannot become another's.
Child::~Child() {
  to_.reset();
  from_.reset();
  ::kill(-pid_, SIGHUP);
  pollfd exited{exit_fd_.get(), POLLIN, 0};
  while (::poll(&exited, 1, kMillisecondsToExit) < 0 && errno == EINTR) {
  }
  ::kill(-pid_, SIGKILL);
  reap(pid_);
  log::debug("process {} is gone", pid_);
}

}  // namespace tunproxy::io
