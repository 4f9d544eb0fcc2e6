// A Prompter on the controlling terminal.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/base/unique_fd.h"
#include "core/ssh/prompter.h"

namespace tunproxy::linux_host {

/// Asks on /dev/tty, so that standard input and output stay free. What a server sends is shown
/// without its control characters. The terminal's settings are put back before ask() returns,
/// whatever ends it: Ctrl-C and Ctrl-Z are read as keys meanwhile and passed on as signals
/// afterwards. One question stands there at a time, others wait.
class TerminalPrompter final : public ssh::Prompter {
 public:
  /// Null if the process has no terminal.
  static std::unique_ptr<TerminalPrompter> open(const std::string& path = "/dev/tty");

  void show(std::string_view text) override;
  Result<Secret> ask(std::string_view question, bool echo, const io::Event& cancelled) override;

 private:
  explicit TerminalPrompter(UniqueFd terminal) : terminal_(std::move(terminal)) {}

  enum class Outcome : uint8_t { line, interrupt, suspend, nobody, cancelled };
  Outcome put(std::string_view question, bool echo, const io::Event& cancelled, std::string& line);
  Outcome read_line(std::string& line, const io::Event& cancelled);
  Outcome read_hidden(std::string& line, const io::Event& cancelled);
  bool wait_for(short events, const io::Event* cancelled);
  static void wait_a_moment(const io::Event& cancelled);
  void write(std::string_view text, const io::Event* cancelled);

  const UniqueFd terminal_;
  std::mutex turn_;
};

/// Without control characters (C0 but for newline and tab, DEL, C1) and bytes that are not UTF-8,
/// so that nothing can move the cursor, change the title or hide text.
std::string printable(std::string_view text);

}  // namespace tunproxy::linux_host
