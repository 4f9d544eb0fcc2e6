// Real tools for the tests: a scratch directory, commands and their output.
#pragma once

#include <string>
#include <vector>

namespace tunproxy::testing {

/// A directory of its own (0711), removed at the end.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory();

  std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

struct CommandResult {
  int status = 0;
  std::string output;  ///< standard output
};

/// Runs a program without a shell; fails the test if it cannot be started.
CommandResult run(const std::vector<std::string>& command, const std::string& input = {});

std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& text, unsigned mode = 0600);

/// Makes a key pair with ssh-keygen (further arguments: its own) and returns the text of the .pub
/// file.
std::string make_key(const std::string& path, const std::vector<std::string>& arguments,
                     const std::string& passphrase = {});

}  // namespace tunproxy::testing
