#include "core/base/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "core/base/log_sparing.h"

namespace tunproxy {
namespace {

TEST(Log, KnowsItsLevels) {
  EXPECT_EQ(*log::parse_level("warn"), log::Level::warn);
  const auto unknown = log::parse_level("loud");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::usage);
}

TEST(Log, WritesToAFileFromItsLevelOn) {
  const std::string path =
      ::testing::TempDir() + "/tunproxy_log_test." + std::to_string(::getpid());
  ASSERT_TRUE(log::configure(log::Level::info, path));
  log::debug("hidden {}", 1);
  log::info("shown {}", 2);
  ASSERT_TRUE(log::configure(log::Level::warn, ""));
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_NE(text.str().find("shown 2"), std::string::npos);
  EXPECT_EQ(text.str().find("hidden"), std::string::npos);
}

TEST(Log, LinesThatOthersCauseAreFew) {
  log::Sparing lines;
  Instant now{};
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(lines.may_say(now), i < 5);
    if (i < 5) {
      EXPECT_EQ(lines.kept_back(), "");
    }
    now += 100ms;
  }
  now += log::Sparing::kPeriod;
  EXPECT_TRUE(lines.may_say(now));
  EXPECT_EQ(lines.kept_back(), " (95 more were not logged)");
  EXPECT_TRUE(lines.may_say(now));
  EXPECT_EQ(lines.kept_back(), "");
}

TEST(Log, SaysWhichFileCannotBeOpened) {
  const auto configured = log::configure(log::Level::info, "/dev/null/file");
  ASSERT_FALSE(configured);
  EXPECT_NE(configured.error().message.find("/dev/null/file"), std::string::npos);
}

TEST(Log, AThreadMayHaveASinkOfItsOwn) {
  std::vector<std::string> lines;
  const auto sink = std::make_shared<log::Sink>(
      log::Sink{log::Level::info, [&](auto, auto line) { lines.emplace_back(line); }});
  {
    const log::UseSink use(sink);
    log::debug("below its level");
    log::info("for the sink");
    std::thread([] { EXPECT_EQ(log::sink(), nullptr); }).join();
  }
  log::info("for the process");
  EXPECT_EQ(lines, std::vector<std::string>{"for the sink"});
}

}  // namespace
}  // namespace tunproxy
