// Servers with narrow limits, and many channels.
#include <algorithm>
#include <optional>
#include <utility>

#include "core/ssh/transport.h"
#include "tests/unit/ssh/session_fixture.h"

namespace tunproxy::testing {
namespace {

class LimitsTest : public SessionTest {
 protected:
  // `count` flows of `bytes` both ways, all at once.
  void carry(size_t count, uint64_t bytes) {
    FlowTarget target(loop_, [=](size_t) { return Flow::Plan{1, bytes, 2, bytes}; });
    std::vector<std::unique_ptr<net::Attempt>> attempts;
    std::vector<std::unique_ptr<Flow>> flows;
    for (size_t i = 0; i < count; ++i) {
      attempts.push_back(session_->connect(target.target(), [&](Opened stream) {
        ASSERT_TRUE(stream) << stream.error().message;
        flows.push_back(std::make_unique<Flow>(std::move(*stream), Flow::Plan{2, bytes, 1, bytes}));
      }));
    }
    ASSERT_TRUE(run_until([&] {
      return flows.size() == count &&
             std::all_of(flows.begin(), flows.end(), [](const auto& f) { return f->done(); });
    }));
    for (const auto& flow : flows) EXPECT_TRUE(flow->intact());
    for (const auto& flow : target.flows()) EXPECT_TRUE(flow->intact());
  }
};

TEST_F(LimitsTest, ManyChannelsAtOnce) {
  connect_session();
  carry(300, 20000);
  EXPECT_TRUE(run_until([&] { return session_->load().channels == 0; }));
}

TEST_F(LimitsTest, KeysAreExchangedAllTheTime) {
  connect_session("RekeyLimit 64K");
  carry(4, 1 << 20);
  EXPECT_EQ(session_->error(), nullptr);
}

TEST_F(LimitsTest, KeysAreExchangedWhileProbesAndBindsWait) {
  connect_session("RekeyLimit 64K");
  size_t answered = 0;
  size_t bound = 0;
  std::vector<std::unique_ptr<net::Attempt>> attempts;
  for (int i = 0; i < 20; ++i) {
    attempts.push_back(session_->probe([&](Result<void> outcome) { answered += !!outcome; }));
    attempts.push_back(session_->bind(
        {Target::from_host("127.0.0.1", 1)}, [&](const Endpoint&) { ++bound; }, [](auto) {}));
    carry(1, 100000);
  }
  EXPECT_TRUE(run_until([&] { return answered == 20 && bound == 20; }));
}

TEST_F(LimitsTest, ACommandThatIsTooLongIsRefusedAlone) {
  connect_session();
  constexpr size_t kAroundIt = 18;  // the rest of the request (RFC 4254 §6.5)
  std::string command = "echo here #";
  command.resize(ssh::Transport::kMaxPacket - kAroundIt, 'x');
  const auto longest = exec(command);
  ASSERT_TRUE(longest) << longest.error().message;
  EXPECT_EQ(longest->output, "here\n");
  command.push_back('x');
  EXPECT_EQ(exec(command).error().code, ErrorCode::limit);
  std::optional<Opened> stream;
  const auto attempt = session_->run(command, [&](Opened outcome) { stream = std::move(outcome); });
  ASSERT_TRUE(run_until([&] { return stream.has_value(); }));
  EXPECT_EQ(stream->error().code, ErrorCode::limit);
  EXPECT_EQ(exec("echo still here")->output, "still here\n");
  EXPECT_EQ(session_->error(), nullptr);
}

TEST_F(LimitsTest, WithoutASessionChannelEverythingElseWorks) {
  connect_session("MaxSessions 0");
  carry(10, 20000);
  bool answered = false;
  const auto probe = session_->probe([&](Result<void> outcome) { answered = outcome.has_value(); });
  EXPECT_TRUE(run_until([&] { return answered; }));
}

TEST_F(LimitsTest, TheOneSessionChannelIsForACommand) {
  connect_session("MaxSessions 1");
  carry(1, 1000);
  const auto result = exec("echo hello");
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->output, "hello\n");
  carry(1, 1000);
}

TEST_F(LimitsTest, ASmallWindowBudgetIsEnough) {
  loop_.memory().set_cap(64 * 1024);
  connect_session();
  carry(20, 500000);
}

}  // namespace
}  // namespace tunproxy::testing
