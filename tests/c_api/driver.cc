// c_api_driver PROGRAM…: runs a program with two SSH servers that it may use, and exits as it does.
//
//   TEST_SERVER_1, TEST_SERVER_2   "user@127.0.0.1:port"; the second one forwards to 127.0.0.1 and
//                                  192.0.2.1 alone
//   TEST_USER                      of both
//   TEST_KEY, TEST_KEY_2           files of keys, each good for one of them
//   TEST_LOCKED_KEY                good for the first one, encrypted with the content of the file
//   TEST_PASSPHRASE
//   TEST_KEY_OF_NOBODY
//   TEST_KNOWN_HOSTS               a file that knows both
//   TEST_NAMESPACES                set (as root): all is in a network namespace of its own, with
//                                  192.0.2.1 and 192.0.2.3, and the program may make more
//
// SIGUSR1 to the driver kills all connections of the first server, SIGUSR2 stops them.
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>

#include "tests/support/sshd.h"

namespace {

using tunproxy::testing::Sshd;

constexpr const char* kPassphrase = "correct horse battery staple 71";

void must(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw std::runtime_error(command);
}

void own_network() {
  if (::geteuid() != 0) return;
  if (::unshare(CLONE_NEWNET) != 0) throw std::runtime_error("no network namespace");
  must(
      "ip link set lo up && ip address add 192.0.2.1/32 dev lo && ip address add 192.0.2.3/32 dev "
      "lo");
  ::setenv("TEST_NAMESPACES", "1", 1);
}

std::string address(const Sshd& server) {
  return server.user() + "@127.0.0.1:" + std::to_string(server.port());
}

void add_known_host(std::ofstream& file, const Sshd& server) {
  std::string type;
  std::string key;
  std::ifstream(server.host_key()) >> type >> key;
  file << "[127.0.0.1]:" << server.port() << ' ' << type << ' ' << key << '\n';
}

void make_keys(const Sshd& first, const Sshd& second) {
  const std::string directory = first.directory();
  const std::string generate = "ssh-keygen -q -t ed25519 -f " + directory;
  must(generate + "/nobody -N ''");
  must(generate + "/locked -a 2 -N '" + kPassphrase + "'");
  must("cat " + directory + "/locked.pub >> " + directory + "/authorized_keys");
  std::ofstream(directory + "/passphrase") << kPassphrase;
  std::ofstream known_hosts(directory + "/known_hosts_of_both");
  add_known_host(known_hosts, first);
  add_known_host(known_hosts, second);
}

void tell(const Sshd& first, const Sshd& second) {
  const std::string directory = first.directory();
  const auto set = [](const char* name, const std::string& value) {
    ::setenv(name, value.c_str(), 1);
  };
  set("TEST_SERVER_1", address(first));
  set("TEST_SERVER_2", address(second));
  set("TEST_USER", first.user());
  set("TEST_KEY", first.identity());
  set("TEST_KEY_2", second.identity());
  set("TEST_LOCKED_KEY", directory + "/locked");
  set("TEST_PASSPHRASE", directory + "/passphrase");
  set("TEST_KEY_OF_NOBODY", directory + "/nobody");
  set("TEST_KNOWN_HOSTS", directory + "/known_hosts_of_both");
}

// REQUIRES: these signals are blocked.
int wait_for(pid_t child, const Sshd& first, const sigset_t& signals) {
  for (;;) {
    int number = 0;
    sigwait(&signals, &number);
    if (number == SIGUSR1) first.signal_connections(SIGKILL);
    if (number == SIGUSR2) first.signal_connections(SIGSTOP);
    int status = 0;
    if (number != SIGCHLD || ::waitpid(child, &status, WNOHANG) != child) continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
}

int run(char** program) {
  own_network();
  const Sshd first;
  const Sshd second("PermitOpen 127.0.0.1:* 192.0.2.1:*");
  make_keys(first, second);
  tell(first, second);
  sigset_t signals;
  sigset_t former;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigaddset(&signals, SIGUSR2);
  sigaddset(&signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &signals, &former);
  const pid_t child = ::fork();
  if (child == 0) {
    sigprocmask(SIG_SETMASK, &former, nullptr);
    ::execvp(program[0], program);
    std::perror(program[0]);
    ::_exit(127);
  }
  return wait_for(child, first, signals);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: c_api_driver PROGRAM...\n", stderr);
    return 2;
  }
  try {
    return run(argv + 1);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "c_api_driver: %s\n", error.what());
    return 1;
  }
}
