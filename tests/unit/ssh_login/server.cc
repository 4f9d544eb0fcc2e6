#include "tests/unit/ssh_login/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

namespace tunproxy::testing {

Server::Server(const ScratchDirectory& scratch, const std::string& settings)
    : config_(scratch.path("sshd_config")),
      log_(scratch.path("sshd.log")),
      authorized_keys_(scratch.path("authorized_keys")) {
  if (::getuid() == 0) ::mkdir("/run/sshd", 0755);  // sshd's own, where it has never run
  host_key_ = make_key(scratch.path("host_key"), {"-t", "ed25519"});
  write_file(config_,
             settings + "\nHostKey " + scratch.path("host_key") + "\nAuthorizedKeysFile " +
                 authorized_keys_ +
                 "\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
                 "KbdInteractiveAuthentication no\nPermitRootLogin yes\nLogLevel DEBUG1\n");
}

Server::~Server() {
  for (const pid_t child : children_) {
    ::kill(child, SIGTERM);
    ::waitpid(child, nullptr, 0);
  }
}

UniqueFd Server::connect() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return {};
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], 0);
    ::dup2(ends[1], 1);
    ::execl("/usr/sbin/sshd", "/usr/sbin/sshd", "-i", "-f", config_.c_str(), "-E", log_.c_str(),
            nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  children_.push_back(child);
  return UniqueFd(ends[0]);
}

std::string Server::log() const {
  return read_file(log_);
}

DialogueServer::DialogueServer(const ScratchDirectory& scratch, const std::string& kind) {
  make_key(scratch.path("host_key"), {"-t", "ed25519"});
  int in[2];
  int out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) return;
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    ::execl("/usr/bin/python3", "python3", "-W", "ignore", DIALOGUE_SERVER,
            scratch.path("host_key").c_str(), kind.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  input_.reset(in[1]);
  const UniqueFd output(out[0]);
  std::string line;
  for (char c = 0; ::read(output.get(), &c, 1) == 1 && c != '\n';) line += c;
  port_ = static_cast<uint16_t>(std::atoi(line.c_str()));
  EXPECT_NE(port_, 0) << "it did not start";
}

DialogueServer::~DialogueServer() {
  input_.reset();
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

bool DialogueServer::available() {
  return run({"/usr/bin/python3", "-W", "ignore", "-c", "import asyncssh"}).status == 0;
}

UniqueFd DialogueServer::connect() const {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port_);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  return fd;
}

RealAgent::RealAgent(const ScratchDirectory& scratch) {
  const std::string socket = scratch.path("agent");
  const std::string text = run({"ssh-agent", "-s", "-a", socket}).output;
  const size_t at = text.find("SSH_AGENT_PID=");
  if (at == text.npos) {
    ADD_FAILURE() << "no ssh-agent: " << text;
    return;
  }
  pid_ = std::atoi(text.c_str() + at + 14);
  ::setenv("SSH_AUTH_SOCK", socket.c_str(), 1);
}

RealAgent::~RealAgent() {
  if (pid_ > 0) ::kill(pid_, SIGTERM);
  ::unsetenv("SSH_AUTH_SOCK");
}

void RealAgent::add(const std::string& key_file) {
  EXPECT_EQ(run({"ssh-add", "-q", key_file}).status, 0);
}

}  // namespace tunproxy::testing
