// Child: a process of ours as a Stream over its standard input and output.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/unique_fd.h"
#include "core/io/fd_watcher.h"
#include "core/io/loop.h"
#include "core/io/tcp.h"
#include "core/io/timer.h"
#include "core/net/stream.h"

namespace tunproxy::io {

/// Runs in the child between fork() and exec(): only what is safe in a signal handler. Returns
/// nullptr, or a literal that says what failed (errno says why); then nothing is executed.
using PrepareChild = std::function<const char*()>;

struct ChildOptions {
  std::vector<std::string> argv;     ///< argv[0] is looked up in PATH. REQUIRES: not empty
  std::string name = "the command";  ///< for errors
  PrepareChild prepare;              ///< may be empty
  bool endless = false;              ///< its end is an error, whatever its exit status
  Duration patience = 300ms;         ///< between its last byte and its exit
};

/// The process has a session of its own: no terminal, and none of its signals. Destroying this ends
/// it and everything that it started in its process group (SIGHUP, shortly after SIGKILL), and
/// reaps it. Its standard error goes to our log at debug.
///
/// What it writes is read like any stream; its end is the end. If it then exits with another status
/// than 0, or by a signal, or if it stops reading, the stream fails with an error that tells the
/// status and the first line of its standard error.
///
///   running ──► closing ──► ended
///                  └──────► failed
class Child final : public net::Stream {
 public:
  static constexpr size_t kLongestLine = 400;  ///< of standard error; longer ones are cut

  /// Error (usage) if it cannot be executed.
  static Result<std::unique_ptr<Child>> start(Loop& loop, const ChildOptions& options);
  ~Child() override;

  void on_progress(std::function<void()> look_again) override;
  Bytes peek() const override { return from_->peek(); }
  void consume(size_t n) override;
  size_t write(Bytes bytes) override { return state_ == State::running ? to_->write(bytes) : 0; }
  void finish() override { to_->finish(); }
  bool finished() const override { return to_->finished(); }
  bool ended() const override { return state_ == State::ended; }
  const Error* error() const override { return state_ == State::failed ? &error_ : nullptr; }

  pid_t pid() const { return pid_; }

 private:
  enum class State : uint8_t { running, closing, ended, failed };
  struct Pipes;

  Child(Loop& loop, const ChildOptions& options, pid_t pid, UniqueFd exited, Pipes pipes);
  void set_state(State next);
  void look();
  void on_exit();
  void settle();
  void read_complaints();
  void on_complaint(std::string_view line);
  std::string last_words() const;

  const std::string name_;
  const bool endless_;
  const Duration time_to_exit_;
  const pid_t pid_;
  State state_ = State::running;
  Error error_;
  bool exited_ = false;
  int status_ = 0;  // of wait(), once it exited
  UniqueFd exit_fd_;
  UniqueFd complaints_;     // its standard error
  std::string line_;        // of it, so far
  std::string first_line_;  // of it
  std::function<void()> look_again_;
  std::unique_ptr<TcpStream> to_;
  std::unique_ptr<TcpStream> from_;
  FdWatcher exit_watcher_;
  FdWatcher complaint_watcher_;
  Timer patience_;  // closing: for the exit status
  Task look_;
};

}  // namespace tunproxy::io
