#include "core/io/child.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "tests/support/memory_stream.h"

namespace tunproxy::io {
namespace {

using ::testing::HasSubstr;
using testing::run_until;

constexpr Duration kPatience = 60s;  // of a busy machine

class ChildTest : public ::testing::Test {
 protected:
  void TearDown() override { child_.reset(); }

  void start(const std::string& script, PrepareChild prepare = nullptr,
             Duration patience = kPatience) {
    auto child = Child::start(
        loop_, {{"sh", "-c", script}, "the command", std::move(prepare), false, patience});
    ASSERT_TRUE(child) << child.error().message;
    child_ = std::move(*child);
    watch();
  }
  void watch() {
    child_->on_progress([this] {
      received_ += as_text(child_->peek());
      child_->consume(child_->peek().size());
    });
  }
  bool until(const std::function<bool()>& condition) { return run_until(loop_, condition); }
  bool until_over() {
    return until([&] { return child_->ended() || child_->error() != nullptr; });
  }
  std::string why() const { return child_->error() != nullptr ? child_->error()->message : ""; }

  Loop loop_;
  std::unique_ptr<Child> child_;
  std::string received_;
};

bool alive(pid_t pid) {
  return ::kill(pid, 0) == 0;
}

TEST_F(ChildTest, CarriesBothWaysAndEndsWithItsOutput) {
  start("cat; echo bye");
  EXPECT_EQ(child_->write(as_bytes("hello\n")), 6U);
  ASSERT_TRUE(until([&] { return received_ == "hello\n"; }));
  child_->finish();
  ASSERT_TRUE(until_over());
  EXPECT_EQ(received_, "hello\nbye\n");
  EXPECT_TRUE(child_->ended());
  EXPECT_TRUE(child_->finished());
}

TEST_F(ChildTest, CarriesMoreThanFitsAtOnce) {
  start("cat");
  const std::string block(100'000, 'x');
  size_t left = 50 * block.size();
  size_t came = 0;
  child_->on_progress([&] {
    came += child_->peek().size();
    child_->consume(child_->peek().size());
    while (left > 0) {
      const size_t taken = child_->write(as_bytes(block).first(std::min(left, block.size())));
      left -= taken;
      if (taken == 0) break;
    }
    if (left == 0) child_->finish();
  });
  ASSERT_TRUE(until_over());
  EXPECT_EQ(came, 50 * block.size());
}

TEST_F(ChildTest, ABadEndTellsStatusAndTheFirstLineOfStandardError) {
  start("echo data; echo >&2; printf ' cannot\\033connect \\nmore\\n' >&2; exit 3");
  ASSERT_TRUE(until_over());
  EXPECT_EQ(received_, "data\n");
  EXPECT_EQ(why(), "the command ended with exit status 3: cannot connect");
}

TEST_F(ChildTest, ALineWithoutEndCounts) {
  start("printf %01000d 7 >&2; exit 1");
  ASSERT_TRUE(until_over());
  EXPECT_EQ(why(),
            "the command ended with exit status 1: " + std::string(Child::kLongestLine, '0'));
}

TEST_F(ChildTest, AnEndThatShouldNotBeIsAnErrorWithStatusZeroToo) {
  auto child = Child::start(
      loop_, {{"sh", "-c", "echo bye; echo done >&2"}, "it", nullptr, true, kPatience});
  ASSERT_TRUE(child);
  child_ = std::move(*child);
  watch();
  ASSERT_TRUE(until_over());
  EXPECT_EQ(received_, "bye\n");
  EXPECT_EQ(why(), "it ended with exit status 0: done");
}

TEST_F(ChildTest, ASignalIsToldToo) {
  start("kill -TERM $$");
  ASSERT_TRUE(until_over());
  EXPECT_EQ(why(), "the command was ended by signal 15");
}

TEST_F(ChildTest, WhatStopsReadingFails) {
  start("exec 0<&-; echo closed; exec sleep 1000", nullptr, 10ms);
  ASSERT_TRUE(until([&] { return received_ == "closed\n"; }));
  child_->write(as_bytes("x"));
  ASSERT_TRUE(until_over());
  EXPECT_THAT(why(), HasSubstr("closed its input"));
}

TEST_F(ChildTest, OutputIsReadThoughItExitedLongAgo) {
  auto child = Child::start(loop_, {{"sh", "-c", "printf 12345"}, "it", nullptr, false, kPatience});
  ASSERT_TRUE(child);
  child_ = std::move(*child);
  while (alive(child_->pid()) &&
         !std::ifstream("/proc/" + std::to_string(child_->pid()) + "/stat").eof()) {
    std::string stat;
    std::getline(std::ifstream("/proc/" + std::to_string(child_->pid()) + "/stat"), stat);
    if (stat.find(") Z ") != std::string::npos) break;
    loop_.run_once(false);
  }
  watch();
  ASSERT_TRUE(until_over());
  EXPECT_EQ(received_, "12345");
  EXPECT_TRUE(child_->ended());
}

TEST_F(ChildTest, WhatCannotRunIsSaidAtOnce) {
  const auto child = Child::start(loop_, {{"/no/such/program"}, "it", nullptr, false, kPatience});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code, ErrorCode::usage);
  EXPECT_THAT(child.error().message, HasSubstr("/no/such/program"));
  EXPECT_THAT(child.error().message, HasSubstr("No such file"));
}

TEST_F(ChildTest, PreparationRunsInTheChildAndMayRefuse) {
  start("echo $VALUE", [] { return ::setenv("VALUE", "seen", 1) == 0 ? nullptr : "set it"; });
  ASSERT_TRUE(until_over());
  EXPECT_EQ(received_, "seen\n");
  EXPECT_EQ(::getenv("VALUE"), nullptr);
  const auto refused = Child::start(loop_, {{"true"},
                                            "it",
                                            []() -> const char* {
                                              errno = EPERM;
                                              return "enter the cgroup";
                                            },
                                            false});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("enter the cgroup): Operation not permitted"));
}

TEST_F(ChildTest, ItsGroupEndsWithIt) {
  start("trap '' HUP; sleep 1000 & echo $$ $!; wait; sleep 1000");
  ASSERT_TRUE(until([&] { return received_.ends_with("\n"); }));
  const size_t space = received_.find(' ');
  const pid_t shell = std::stoi(received_);
  const pid_t grandchild = std::stoi(received_.substr(space));
  EXPECT_EQ(shell, child_->pid());
  child_.reset();
  EXPECT_FALSE(alive(shell)) << "reaped";
  // The grandchild is a zombie until whoever adopts orphans reaps it.
  const auto gone = [&] {
    std::string stat;
    std::getline(std::ifstream("/proc/" + std::to_string(grandchild) + "/stat"), stat);
    return stat.empty() || stat.find(") Z ") != std::string::npos;
  };
  EXPECT_TRUE(until(gone));
}

TEST_F(ChildTest, InheritsNoDescriptors) {
  start("ls /proc/self/fd | tr '\\n' ' '");
  ASSERT_TRUE(until_over());
  EXPECT_EQ(received_, "0 1 2 3 ") << "3 is the directory";
}

TEST_F(ChildTest, HasNoTerminalAndUsualSignals) {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  start("(: </dev/tty) 2>/dev/null || echo none; grep -c 'SigBlk:.*0000$' /proc/self/status");
  ::pthread_sigmask(SIG_UNBLOCK, &pipe, nullptr);
  ASSERT_TRUE(until_over());
  EXPECT_EQ(received_, "none\n1\n");
}

}  // namespace
}  // namespace tunproxy::io
