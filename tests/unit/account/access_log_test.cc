#include "core/account/access_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/memory_stream.h"

namespace tunproxy::account {
namespace {

namespace fs = std::filesystem;

class AccessLogTest : public ::testing::Test {
 protected:
  AccessLogTest()
      : file_(::testing::TempDir() + "access_log_" + std::to_string(::getpid()) + ".jsonl") {
    fs::remove(file_);
  }
  ~AccessLogTest() override {
    log_.reset();
    fs::remove(file_);
    fs::remove(file_ + ".1");
  }

  void open(bool clear_hosts = false) {
    auto opened = AccessLog::open(loop_, {file_, clear_hosts});
    ASSERT_TRUE(opened) << opened.error().message;
    log_ = std::move(*opened);
  }
  static Flow flow_to(std::string_view host) {
    Flow flow;
    flow.id = 7;
    flow.source = Source::socks;
    flow.target = Target::from_host(host, 443);
    flow.user = "alice";
    flow.rule = "line 3";
    flow.up = 10;
    flow.down = 20;
    return flow;
  }
  static std::vector<nlohmann::json> lines_of(const std::string& file) {
    std::vector<nlohmann::json> lines;
    std::ifstream stream(file);
    for (std::string line; std::getline(stream, line);)
      lines.push_back(nlohmann::json::parse(line));
    return lines;
  }
  bool until_lines(size_t count) {
    return testing::run_until(loop_, [&] {
      loop_.post([] {});
      std::ifstream stream(file_);
      std::string text{std::istreambuf_iterator<char>(stream), {}};
      return static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) >= count;
    });
  }

  const std::string file_;
  io::Loop loop_;
  std::unique_ptr<AccessLog> log_;
};

TEST_F(AccessLogTest, ALineTellsTheFlowWithoutItsHost) {
  open();
  log_->write(flow_to("secret.example"), {true, std::nullopt});
  log_->write(flow_to("secret.example"), {false, ErrorCode::refused});
  log_->write(flow_to("other.example"), {});
  ASSERT_TRUE(until_lines(3));
  const auto lines = lines_of(file_);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0]["id"], 7);
  EXPECT_EQ(lines[0]["source"], "socks");
  EXPECT_EQ(lines[0]["protocol"], "tcp");
  EXPECT_EQ(lines[0]["user"], "alice");
  EXPECT_EQ(lines[0]["port"], 443);
  EXPECT_EQ(lines[0]["way"], "tunnel");
  EXPECT_EQ(lines[0]["rule"], "line 3");
  EXPECT_EQ(lines[0]["up"], 10);
  EXPECT_EQ(lines[0]["down"], 20);
  EXPECT_EQ(lines[0]["end"], "complete");
  EXPECT_EQ(lines[1]["end"], "refused");
  EXPECT_EQ(lines[2]["end"], "closed");
  EXPECT_EQ(lines[0]["host"].get<std::string>().find("secret"), std::string::npos);
  EXPECT_EQ(lines[0]["host"], lines[1]["host"]);
  EXPECT_NE(lines[0]["host"], lines[2]["host"]);
  EXPECT_EQ(fs::status(file_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(AccessLogTest, HashesOfOneRunMeanNothingInAnother) {
  open();
  log_->write(flow_to("secret.example"), {});
  open();
  log_->write(flow_to("secret.example"), {});
  log_.reset();
  const auto lines = lines_of(file_);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_NE(lines[0]["host"], lines[1]["host"]);
}

TEST_F(AccessLogTest, HostsInClearOnRequestWhateverBytesTheyHave) {
  open(true);
  log_->write(flow_to("clear.example"), {});
  log_->write(flow_to("b\xff\"\\d"), {});
  log_.reset();  // writes what waits
  const auto lines = lines_of(file_);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["host"], "clear.example");
}

TEST_F(AccessLogTest, ARotatedFileIsBegunAnew) {
  open();
  log_->write(flow_to("a.example"), {});
  ASSERT_TRUE(until_lines(1));
  fs::rename(file_, file_ + ".1");
  ASSERT_TRUE(log_->reopen());
  log_->write(flow_to("b.example"), {});
  ASSERT_TRUE(until_lines(1));
  EXPECT_EQ(lines_of(file_).size(), 1U);
  EXPECT_EQ(lines_of(file_ + ".1").size(), 1U);
}

TEST_F(AccessLogTest, AFullDiskLosesLinesAndNothingElse) {
  auto opened = AccessLog::open(loop_, {"/dev/full", false});
  ASSERT_TRUE(opened) << opened.error().message;
  for (int i = 0; i < 20000; ++i) (*opened)->write(flow_to("a.example"), {});
  EXPECT_GT((*opened)->lost(), 0U);  // above what may wait
  ASSERT_TRUE(testing::run_until(loop_, [&] {
    loop_.post([] {});
    return (*opened)->lost() == 20000;
  }));
}

TEST_F(AccessLogTest, AFileThatCannotBeIsToldAtOnce) {
  const auto opened = AccessLog::open(loop_, {"/no/such/directory/log", false});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::usage);
  EXPECT_NE(opened.error().message.find("/no/such/directory/log"), std::string::npos);
  open();
  fs::remove(file_);
  fs::create_directory(file_);
  EXPECT_FALSE(log_->reopen());
}

}  // namespace
}  // namespace tunproxy::account
