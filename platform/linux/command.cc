#include "platform/linux/command.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "platform/linux/command_child.h"

namespace tunproxy::linux_host {
namespace {

constexpr const char* kInterface = "tun0";

int wait_for(pid_t child, int flags, int* status) {
  for (;;) {
    const pid_t pid = ::waitpid(child, status, flags);
    if (pid >= 0 || errno != EINTR) return pid;
  }
}

// Signals stay blocked from here to the child's own handling of them: a handler of ours must not
// run there.
pid_t fork_quietly(int channel, const CommandOptions& options) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) run_child(channel, parent, options);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return child;
}

}  // namespace

Result<std::unique_ptr<Command>> Command::prepare(const CommandOptions& options) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return error_from_errno(errno, "cannot make a socket pair");
  }
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  const pid_t child = fork_quietly(theirs.get(), options);
  if (child < 0) return error_from_errno(errno, "cannot make a process");
  theirs.reset();
  std::unique_ptr<Command> command(new Command(child, std::move(ours)));
  command->tun_.name = kInterface;
  command->tun_.mtu = options.mtu;
  auto addresses = choose_addresses({});
  if (!addresses) return addresses.error();
  command->tun_.addresses = *addresses;
  command->exit_fd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  if (!command->exit_fd_) return error_from_errno(errno, "cannot watch the command (pidfd_open)");
  if (auto received = command->receive_tun(); !received) return received.error();
  return command;
}

Result<void> Command::receive_tun() {
  ChildReport report;
  iovec data{&report, sizeof report};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n = -1;
  do {
    n = ::recvmsg(channel_.get(), &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n != static_cast<ssize_t>(sizeof report)) {
    return Error{ErrorCode::general, "the command's process ended before it had a network"};
  }
  if (!report.ok) return Error{report.code, report.message};
  const cmsghdr* attached = CMSG_FIRSTHDR(&message);
  if (attached == nullptr || attached->cmsg_type != SCM_RIGHTS) {
    return Error{ErrorCode::general, "the command's process did not hand its TUN over"};
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(attached), sizeof fd);
  tun_.fd.reset(fd);
  tun_.vnet_header = report.vnet_header;
  tun_.ipv6 = report.ipv6;
  return {};
}

Result<void> Command::start() {
  const char go = 'g';
  if (::send(channel_.get(), &go, 1, MSG_NOSIGNAL) == 1) return {};
  return error_from_errno(errno, "the command's process is gone");
}

std::optional<int> Command::exit_code() {
  if (exit_code_) return exit_code_;
  int status = 0;
  if (wait_for(child_, WNOHANG, &status) != child_) return std::nullopt;
  exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return exit_code_;
}

void Command::forward(int signal_number) const {
  if (!exit_code_) ::kill(child_, signal_number);
}

Command::~Command() {
  if (exit_code()) return;
  // A child that was not told to start sees the end of the channel, or of its parent, and exits.
  forward(SIGHUP);
  channel_.reset();
  exit_code();
}

}  // namespace tunproxy::linux_host
