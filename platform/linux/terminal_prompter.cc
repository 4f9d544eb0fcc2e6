#include "platform/linux/terminal_prompter.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tunproxy::linux_host {
namespace {

constexpr size_t kMaxLine = 4096;
constexpr int kMoment = 100;    // ms
constexpr char kEnd = 4;        // Ctrl-D
constexpr char kInterrupt = 3;  // Ctrl-C
constexpr char kSuspend = 26;   // Ctrl-Z
constexpr char kKillLine = 21;  // Ctrl-U
constexpr char kBackspace = 8;
constexpr char kDelete = 127;

/// No echo, and each key at once; Ctrl-C and Ctrl-Z are keys. As before when destroyed.
class HiddenInput {
 public:
  explicit HiddenInput(int fd) : fd_(fd), changed_(::tcgetattr(fd, &before_) == 0) {
    if (!changed_) return;
    termios hidden = before_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    hidden.c_cc[VMIN] = 1;
    hidden.c_cc[VTIME] = 0;
    ::tcsetattr(fd, TCSAFLUSH, &hidden);
  }
  HiddenInput(const HiddenInput&) = delete;
  HiddenInput& operator=(const HiddenInput&) = delete;
  ~HiddenInput() {
    if (changed_) ::tcsetattr(fd_, TCSADRAIN, &before_);
  }

 private:
  int fd_;
  termios before_{};
  bool changed_;
};

void erase_last(std::string& line) {
  while (!line.empty() && (line.back() & 0xC0) == 0x80) line.pop_back();  // the rest of a character
  if (!line.empty()) line.pop_back();
}

/// The length of the UTF-8 sequence at the front of `text` and its code point; 0 if there is none.
size_t decode(std::string_view text, char32_t& point) {
  const auto first = static_cast<unsigned char>(text.front());
  size_t length = 1;
  point = first;
  if (first >= 0x80) {
    length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
    point = first & (0xFFU >> (length + 1));
  }
  for (size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0) != 0x80) return 0;
    point = point << 6 | (next & 0x3F);
  }
  return length;
}

bool harmless(char32_t point) {
  if (point == '\n' || point == '\t') return true;
  if (point < 0x20 || (point >= 0x7F && point < 0xA0)) return false;
  const bool reorders =
      (point >= 0x202A && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
  return !reorders && point != 0x200E && point != 0x200F;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    char32_t point = 0;
    const size_t length = decode(text, point);
    if (length == 0) {
      result += '?';
    } else if (harmless(point)) {
      result += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return result;
}

std::unique_ptr<TerminalPrompter> TerminalPrompter::open(const std::string& path) {
  UniqueFd terminal(::open(path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  if (!terminal || ::isatty(terminal.get()) == 0) return nullptr;
  return std::unique_ptr<TerminalPrompter>(new TerminalPrompter(std::move(terminal)));
}

void TerminalPrompter::show(std::string_view text) {
  write(printable(text), nullptr);
  if (!text.empty() && text.back() != '\n') write("\n", nullptr);
}

Result<Secret> TerminalPrompter::ask(std::string_view question, bool echo,
                                     const io::Event& cancelled) {
  std::unique_lock turn(turn_, std::defer_lock);
  while (!cancelled.is_set() && !turn.try_lock()) wait_a_moment(cancelled);
  std::string line;
  line.reserve(kMaxLine);  // so that growing leaves no copies of a secret
  Outcome outcome = Outcome::cancelled;
  while (!cancelled.is_set()) {
    outcome = put(question, echo, cancelled, line);
    if (outcome != Outcome::suspend) break;
    ::kill(0, SIGTSTP);  // the job, as the key would have; goes on here with SIGCONT
  }
  Secret answer = Secret::take(line);
  switch (outcome) {
    case Outcome::line:
      return answer;
    case Outcome::interrupt:
      ::kill(::getpid(), SIGINT);
      return Error{ErrorCode::cancelled, "interrupted"};
    case Outcome::nobody:
      return Error{ErrorCode::general, "the terminal gave no answer"};
    case Outcome::suspend:
    case Outcome::cancelled:
      break;
  }
  return Error{ErrorCode::cancelled, "cancelled"};
}

TerminalPrompter::Outcome TerminalPrompter::put(std::string_view question, bool echo,
                                                const io::Event& cancelled, std::string& line) {
  wipe(line);
  write(printable(question), &cancelled);
  const Outcome outcome = echo ? read_line(line, cancelled) : read_hidden(line, cancelled);
  if (!echo || outcome != Outcome::line) write("\n", &cancelled);
  return outcome;
}

TerminalPrompter::Outcome TerminalPrompter::read_line(std::string& line,
                                                      const io::Event& cancelled) {
  char buffer[kMaxLine];
  for (;;) {
    if (!wait_for(POLLIN, &cancelled)) return Outcome::cancelled;
    const ssize_t n = ::read(terminal_.get(), buffer, sizeof buffer);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) return Outcome::nobody;
    line.append(buffer, static_cast<size_t>(n));
    if (line.back() != '\n') continue;
    line.pop_back();
    return Outcome::line;
  }
}

TerminalPrompter::Outcome TerminalPrompter::read_hidden(std::string& line,
                                                        const io::Event& cancelled) {
  const HiddenInput hidden(terminal_.get());
  for (;;) {
    if (!wait_for(POLLIN, &cancelled)) return Outcome::cancelled;
    char byte = 0;
    const ssize_t n = ::read(terminal_.get(), &byte, 1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) return Outcome::nobody;
    switch (byte) {
      case '\n':
      case '\r':
        return Outcome::line;
      case kInterrupt:
        return Outcome::interrupt;
      case kSuspend:
        return Outcome::suspend;
      case kEnd:
        if (line.empty()) return Outcome::nobody;
        break;
      case kKillLine:
        wipe(line);
        break;
      case kBackspace:
      case kDelete:
        erase_last(line);
        break;
      default:
        if (line.size() < kMaxLine) line += byte;
    }
  }
}

void TerminalPrompter::wait_a_moment(const io::Event& cancelled) {
  pollfd wait{cancelled.fd(), POLLIN, 0};
  ::poll(&wait, 1, kMoment);
}

/// False once cancelled.
bool TerminalPrompter::wait_for(short events, const io::Event* cancelled) {
  for (;;) {
    if (cancelled != nullptr && cancelled->is_set()) return false;
    pollfd waits[] = {{terminal_.get(), events, 0},
                      {cancelled != nullptr ? cancelled->fd() : -1, POLLIN, 0}};
    const int ready = ::poll(waits, 2, -1);
    if (ready > 0 && waits[0].revents != 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

void TerminalPrompter::write(std::string_view text, const io::Event* cancelled) {
  while (!text.empty()) {
    const ssize_t n = ::write(terminal_.get(), text.data(), text.size());
    if (n > 0) {
      text.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      if (!wait_for(POLLOUT, cancelled)) return;
    } else if (errno != EINTR) {
      return;
    }
  }
}

}  // namespace tunproxy::linux_host
