// TerminalPrompter on a pseudo-terminal.
#include "platform/linux/terminal_prompter.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <optional>
#include <thread>

namespace tunproxy::linux_host {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// A terminal with a person's end (the master) and a program's end.
class TerminalPrompterTest : public ::testing::Test {
 protected:
  TerminalPrompterTest() {
    int master = -1;
    int slave = -1;
    char name[128] = {};
    EXPECT_EQ(::openpty(&master, &slave, name, nullptr, nullptr), 0);
    master_.reset(master);
    slave_.reset(slave);
    ::tcgetattr(slave, &before_);
    prompter_ = TerminalPrompter::open(name);
  }
  /// Reads what the screen shows until `text` is there.
  bool wait_for(const std::string& text) {
    while (screen_.find(text) == std::string::npos) {
      pollfd wait{master_.get(), POLLIN, 0};
      if (::poll(&wait, 1, 60000) <= 0) return false;
      char buffer[1024];
      const ssize_t n = ::read(master_.get(), buffer, sizeof buffer);
      if (n <= 0) return false;
      screen_.append(buffer, static_cast<size_t>(n));
    }
    return true;
  }
  /// Waits until the terminal's echo is as given, which is when a hidden question reads.
  bool wait_for_echo(bool on) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (std::chrono::steady_clock::now() < end) {
      termios now{};
      ::tcgetattr(slave_.get(), &now);
      if (((now.c_lflag & ECHO) != 0) == on) return true;
      std::this_thread::yield();
    }
    return false;
  }
  void type(const std::string& text) {
    ASSERT_EQ(::write(master_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void ask(bool echo) {
    asking_ =
        std::thread([this, echo] { answer_ = prompter_->ask("Question? ", echo, cancelled_); });
    EXPECT_TRUE(wait_for("Question? "));
    if (!echo) {
      EXPECT_TRUE(wait_for_echo(false));
    }
  }
  void expect_restored() {
    termios now{};
    ::tcgetattr(slave_.get(), &now);
    EXPECT_EQ(now.c_lflag, before_.c_lflag);
    EXPECT_EQ(now.c_iflag, before_.c_iflag);
  }

  UniqueFd master_;
  UniqueFd slave_;
  termios before_{};
  std::unique_ptr<TerminalPrompter> prompter_;
  std::string screen_;
  std::thread asking_;
  io::Event cancelled_;
  std::optional<Result<Secret>> answer_;
};

TEST_F(TerminalPrompterTest, HiddenAnswersAreNotShown) {
  ask(false);
  type("secret\n");
  asking_.join();
  ASSERT_TRUE(*answer_);
  EXPECT_EQ((*answer_)->text(), "secret");
  expect_restored();
  prompter_->show("done");
  EXPECT_TRUE(wait_for("done"));
  EXPECT_THAT(screen_, Not(HasSubstr("secret")));
}

TEST_F(TerminalPrompterTest, OtherAnswersAreShown) {
  ask(true);
  type("yes\n");
  asking_.join();
  EXPECT_EQ((*answer_)->text(), "yes");
  EXPECT_TRUE(wait_for("yes"));
  expect_restored();
}

TEST_F(TerminalPrompterTest, HiddenInputCanBeEdited) {
  ask(false);
  type(
      "nonsense\x15sekr\x7f\x7f\x08"
      "cr\xC3\xA9\x7f"
      "et\n");
  asking_.join();
  EXPECT_EQ((*answer_)->text(), "scret");
}

/// A login that is given up takes its question with it; the next one asks as if nothing were.
TEST_F(TerminalPrompterTest, CancelEndsTheQuestionsOfOneLoginOnly) {
  for (const bool echo : {false, true}) {
    io::Event given_up;
    std::thread asking([&] { answer_ = prompter_->ask("Given up? ", echo, given_up); });
    EXPECT_TRUE(wait_for("Given up? "));
    given_up.set();
    asking.join();
    ASSERT_FALSE(*answer_);
    EXPECT_EQ(answer_->error().code, ErrorCode::cancelled);
    expect_restored();
    EXPECT_FALSE(prompter_->ask("Not put? ", echo, given_up));
    ask(echo);
    type("here\n");
    asking_.join();
    ASSERT_TRUE(*answer_) << answer_->error().message;
    EXPECT_EQ((*answer_)->text(), "here");
    expect_restored();
    EXPECT_THAT(screen_, Not(HasSubstr("Not put?")));
    screen_.clear();
  }
}

TEST_F(TerminalPrompterTest, QuestionsOfSeveralLoginsTakeTurns) {
  ask(false);
  std::optional<Result<Secret>> second;
  std::optional<Result<Secret>> third;
  io::Event third_given_up;
  std::thread two([&] { second = prompter_->ask("The second? ", false, cancelled_); });
  std::thread three([&] { third = prompter_->ask("The third? ", false, third_given_up); });
  third_given_up.set();
  three.join();
  EXPECT_FALSE(*third);
  EXPECT_THAT(screen_, Not(HasSubstr("The second?")));
  type("first\n");
  asking_.join();
  EXPECT_EQ((*answer_)->text(), "first");
  EXPECT_TRUE(wait_for("The second? "));
  EXPECT_TRUE(wait_for_echo(false));
  type("other\n");
  two.join();
  ASSERT_TRUE(*second);
  EXPECT_EQ((*second)->text(), "other");
  EXPECT_THAT(screen_, Not(HasSubstr("The third?")));
  expect_restored();
}

TEST_F(TerminalPrompterTest, EndOfInputIsNoAnswer) {
  ask(false);
  type("\x04");
  asking_.join();
  EXPECT_FALSE(*answer_);
  expect_restored();
}

TEST_F(TerminalPrompterTest, HangUpIsNoAnswer) {
  ask(false);
  master_.reset();
  asking_.join();
  EXPECT_FALSE(*answer_);
}

TEST_F(TerminalPrompterTest, InterruptIsPassedOnAfterwards) {
  static volatile sig_atomic_t echo_at_signal = -1;
  static int slave = -1;
  slave = slave_.get();
  struct sigaction action {};
  struct sigaction old {};
  action.sa_handler = [](int) {
    termios now{};
    ::tcgetattr(slave, &now);
    echo_at_signal = (now.c_lflag & ECHO) != 0 ? 1 : 0;
  };
  ::sigaction(SIGINT, &action, &old);
  ask(false);
  type("sec\x03");
  asking_.join();
  ::sigaction(SIGINT, &old, nullptr);
  ASSERT_FALSE(*answer_);
  EXPECT_EQ(answer_->error().code, ErrorCode::cancelled);
  EXPECT_EQ(echo_at_signal, 1) << "the terminal is as before when the signal comes";
  expect_restored();
}

/// In a process of its own, whose job is stopped and continued.
TEST_F(TerminalPrompterTest, SuspendStopsTheJobWithTheTerminalRestored) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setpgid(0, 0);
    const auto answer = prompter_->ask("Question? ", false, cancelled_);
    ::_exit(answer && answer->text() == "secret" ? 0 : 1);
  }
  ASSERT_TRUE(wait_for("Question? "));
  ASSERT_TRUE(wait_for_echo(false));
  type("half\x1a");
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  expect_restored();
  screen_.clear();
  ::kill(child, SIGCONT);
  ASSERT_TRUE(wait_for("Question? "));
  ASSERT_TRUE(wait_for_echo(false));
  type("secret\n");
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  expect_restored();
}

TEST_F(TerminalPrompterTest, WhatIsNoTerminalIsNotOpened) {
  EXPECT_EQ(TerminalPrompter::open("/dev/null"), nullptr);
  EXPECT_EQ(TerminalPrompter::open("/nonexistent"), nullptr);
}

TEST(Printable, KeepsTextAndDropsControl) {
  EXPECT_EQ(printable("plain\n\ttext"), "plain\n\ttext");
  EXPECT_EQ(printable("\x1b[2Jgone\x07\r\x7f"), "[2Jgone");
  EXPECT_EQ(printable("\xC2\x9B"
                      "2J"),
            "2J")
      << "C1 control";
  EXPECT_EQ(printable("gr\xC3\xBC\xC3\x9F"), "gr\xC3\xBC\xC3\x9F");
  EXPECT_EQ(printable("\xE2\x80\xAE"
                      "evil"),
            "evil")
      << "right-to-left override";
  EXPECT_EQ(printable("\xFF\xC3"), "??");
  EXPECT_EQ(printable("\xF0\x9F\x98\x80"), "\xF0\x9F\x98\x80");
  EXPECT_EQ(printable("\xE2\x82"), "??");
}

}  // namespace
}  // namespace tunproxy::linux_host
