// c_api_driver PROGRAM…: runs a program with two SSH servers that it may use, and exits as it does.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>

#include "tests/support/sshd.h"

namespace {

using tunproxy::testing::Sshd;

std::string address(const Sshd& server) {
  return server.user() + "@127.0.0.1:" + std::to_string(server.port());
}

void add_known_host(std::ofstream& file, const Sshd& server) {
  std::string type;
  std::string key;
  std::ifstream(server.host_key()) >> type >> key;
  file << "[127.0.0.1]:" << server.port() << ' ' << type << ' ' << key << '\n';
}

int run(char** program) {
  const Sshd first;
  const Sshd second("PermitOpen any");
  const std::string known_hosts = first.directory() / "known_hosts_of_both";
  {
    std::ofstream file(known_hosts);
    add_known_host(file, first);
    add_known_host(file, second);
  }
  ::setenv("TEST_SERVER_1", address(first).c_str(), 1);
  ::setenv("TEST_SERVER_2", address(second).c_str(), 1);
  ::setenv("TEST_KEY", first.identity().c_str(), 1);
  ::setenv("TEST_KEY_2", second.identity().c_str(), 1);
  ::setenv("TEST_KNOWN_HOSTS", known_hosts.c_str(), 1);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execvp(program[0], program);
    std::perror(program[0]);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
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
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
