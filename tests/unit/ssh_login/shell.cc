#include "tests/unit/ssh_login/shell.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "core/base/unique_fd.h"

namespace tunproxy::testing {

ScratchDirectory::ScratchDirectory() : path_("/tmp/tunproxy-login-XXXXXX") {
  if (::mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "no scratch directory";
  ::chmod(path_.c_str(), 0711);  // sshd reads some of it as another user
}

// Not remove_all(), which throws when an agent removes its socket at the same moment.
ScratchDirectory::~ScratchDirectory() {
  run({"rm", "-rf", path_});
}

CommandResult run(const std::vector<std::string>& command, const std::string& input) {
  int in[2];
  int out[2];
  if (::pipe(in) != 0 || ::pipe(out) != 0) return {-1, {}};
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    for (const int fd : {in[0], in[1], out[0], out[1]}) ::close(fd);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  UniqueFd write_end(in[1]);
  const UniqueFd read_end(out[0]);
  // What the tests feed is far below a pipe's capacity.
  EXPECT_EQ(::write(write_end.get(), input.data(), input.size()),
            static_cast<ssize_t>(input.size()));
  write_end.reset();
  CommandResult result;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(read_end.get(), buffer, sizeof buffer)) > 0;) {
    result.output.append(buffer, static_cast<size_t>(n));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  EXPECT_NE(result.status, 127) << command.front();
  return result;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::string& path, const std::string& text, unsigned mode) {
  std::ofstream(path, std::ios::binary) << text;
  ::chmod(path.c_str(), mode);
}

std::string make_key(const std::string& path, const std::vector<std::string>& arguments,
                     const std::string& passphrase) {
  std::vector<std::string> command = {"ssh-keygen", "-q", "-f", path, "-N", passphrase};
  command.insert(command.end(), arguments.begin(), arguments.end());
  EXPECT_EQ(run(command).status, 0);
  return read_file(path + ".pub");
}

}  // namespace tunproxy::testing
