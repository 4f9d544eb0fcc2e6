// Channels under load: half-close, backpressure, key exchange in mid transfer, abrupt ends.
#include <utility>

#include "tests/unit/ssh/session_fixture.h"

namespace tunproxy::testing {
namespace {

constexpr uint64_t kMega = 1024 * 1024;

class TransferTest : public SessionTest {
 protected:
  std::unique_ptr<Flow> start(const FlowTarget& target, Flow::Plan plan) {
    auto stream = open(target.target());
    EXPECT_TRUE(stream) << stream.error().message;
    if (!stream) return nullptr;
    return std::make_unique<Flow>(std::move(*stream), plan);
  }
  bool run_until_done(std::vector<std::unique_ptr<Flow>>& flows) {
    return run_until([&] {
      return std::all_of(flows.begin(), flows.end(), [](const auto& f) { return f->done(); });
    });
  }
};

TEST_F(TransferTest, ClientEndsFirst) {
  connect_session();
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{1, 5 * kMega, 2, 3 * kMega, true}; });
  const auto client = start(target, {2, 3 * kMega, 1, 5 * kMega});
  ASSERT_TRUE(run_until([&] { return client->done() && target.flows()[0]->done(); }));
  EXPECT_TRUE(client->intact() && target.flows()[0]->intact());
  EXPECT_EQ(client->error(), nullptr);
}

TEST_F(TransferTest, TargetEndsFirst) {
  connect_session();
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{1, 3 * kMega, 2, 5 * kMega}; });
  const auto client = start(target, {2, 5 * kMega, 1, 3 * kMega, true});
  ASSERT_TRUE(run_until([&] { return client->done() && target.flows()[0]->done(); }));
  EXPECT_TRUE(client->intact() && target.flows()[0]->intact());
  EXPECT_EQ(client->error(), nullptr);
}

TEST_F(TransferTest, EmptyFlowEndsBothWays) {
  connect_session();
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{}; });
  const auto client = start(target, {});
  ASSERT_TRUE(run_until([&] { return client->done() && target.flows()[0]->done(); }));
  EXPECT_EQ(client->error(), nullptr);
}

TEST_F(TransferTest, SlowReaderHoldsBackOnlyItself) {
  connect_session();
  FlowTarget flood(loop_, [](size_t) { return Flow::Plan{1, 64 * kMega, 2, 0}; });
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{3, 32 * kMega, 4, 0}; });
  const auto slow = start(flood, {2, 0, 1, 64 * kMega});
  slow->read_up_to(100000);
  const auto fast = start(target, {4, 0, 3, 32 * kMega});
  ASSERT_TRUE(run_until([&] { return fast->done(); }));

  // One window here, one in sshd, and what the kernel holds.
  EXPECT_LT(flood.flows()[0]->sent(), 24 * kMega);
  EXPECT_FALSE(slow->done());
  slow->read_up_to(UINT64_MAX);
  ASSERT_TRUE(run_until([&] { return slow->done(); }));
  EXPECT_TRUE(slow->intact() && fast->intact());
}

TEST_F(TransferTest, TargetThatDoesNotReadHoldsBackOnlyItself) {
  connect_session();
  FlowTarget sink(loop_, [](size_t) { return Flow::Plan{1, 0, 2, 64 * kMega}; });
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{3, 0, 4, 32 * kMega}; });
  const auto slow = start(sink, {2, 64 * kMega, 1, 0});
  ASSERT_TRUE(run_until([&] { return sink.flows().size() == 1; }));
  sink.flows()[0]->read_up_to(100000);
  const auto fast = start(target, {4, 32 * kMega, 3, 0});
  ASSERT_TRUE(run_until([&] { return fast->done() && target.flows()[0]->done(); }));

  EXPECT_LT(slow->sent(), 24 * kMega);
  sink.flows()[0]->read_up_to(UINT64_MAX);
  ASSERT_TRUE(run_until([&] { return slow->done() && sink.flows()[0]->done(); }));
  EXPECT_TRUE(sink.flows()[0]->intact() && target.flows()[0]->intact());
}

TEST_F(TransferTest, ServerExchangesKeysEveryMegabyteUnderLoad) {
  constexpr size_t kFlows = 16;
  constexpr uint64_t kBytes = 3 * kMega;
  connect_session("RekeyLimit 1M");
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{1, kBytes, 2, kBytes}; });
  std::vector<std::unique_ptr<Flow>> flows;
  for (size_t i = 0; i < kFlows; ++i) flows.push_back(start(target, {2, kBytes, 1, kBytes}));
  ASSERT_TRUE(run_until_done(flows));
  ASSERT_TRUE(run_until_done(target.flows()));
  for (size_t i = 0; i < kFlows; ++i) {
    EXPECT_TRUE(flows[i]->intact() && target.flows()[i]->intact()) << i;
  }
  EXPECT_EQ(session_->error(), nullptr);
}

TEST_F(TransferTest, AThousandAbortedClientsLeaveTheSessionWhole) {
  constexpr size_t kRounds = 50;
  constexpr size_t kClients = 20;
  connect_session();
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{1, kMega / 4, 2, kMega / 4}; });
  for (size_t round = 0; round < kRounds; ++round) {
    std::vector<std::unique_ptr<net::Attempt>> attempts;
    std::vector<std::unique_ptr<Flow>> flows;
    for (size_t i = 0; i < kClients; ++i) {
      attempts.push_back(session_->connect(target.target(), [&](Opened stream) {
        ASSERT_TRUE(stream);
        flows.push_back(
            std::make_unique<Flow>(std::move(*stream), Flow::Plan{2, kMega / 4, 1, kMega / 4}));
      }));
    }
    // They go in every state: opening, silent, in mid transfer.
    ASSERT_TRUE(run_until([&] {
      return round % 5 == 0 ||
             (flows.size() > round % kClients && flows[0]->received() > (round % 3) * 50000);
    }));
  }
  const auto client = start(target, {2, kMega / 4, 1, kMega / 4});
  ASSERT_TRUE(run_until([&] { return client->done(); }));
  EXPECT_TRUE(client->intact());
  // The targets of all others hear of it, too.
  ASSERT_TRUE(run_until([&] {
    return std::all_of(target.flows().begin(), target.flows().end(), [](const auto& flow) {
      return flow->error() != nullptr || flow->stream().ended();
    });
  }));
}

TEST_F(TransferTest, KilledServerEndsEverythingWithAnError) {
  connect_session();
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{1, 1024 * kMega, 2, 1024 * kMega}; });
  std::vector<std::unique_ptr<Flow>> flows;
  for (size_t i = 0; i < 10; ++i) {
    flows.push_back(start(target, {2, 1024 * kMega, 1, 1024 * kMega}));
  }
  int closed = 0;
  session_->on_closed([&](const Error&) {
    ++closed;
    for (const auto& flow : flows) EXPECT_NE(flow->error(), nullptr);
  });
  ASSERT_TRUE(run_until([&] { return flows[9]->received() > kMega; }));
  sshd_->kill();
  bool open_failed = false;
  const auto attempt = session_->connect(target.target(), [&](Opened stream) {
    EXPECT_FALSE(stream);
    open_failed = true;
  });
  ASSERT_TRUE(run_until([&] { return closed == 1 && open_failed; }));
  for (const auto& flow : flows) {
    ASSERT_NE(flow->error(), nullptr);
    EXPECT_EQ(flow->error()->code, ErrorCode::reset);
    EXPECT_TRUE(flow->stream().peek().empty());
  }
  EXPECT_NE(session_->error(), nullptr);
  EXPECT_FALSE(open(target.target()));
  EXPECT_EQ(closed, 1);
}

TEST_F(TransferTest, StreamsOutliveTheirSession) {
  connect_session();
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{1, 100 * kMega, 2, 0}; });
  const auto client = start(target, {2, 0, 1, 100 * kMega});
  ASSERT_TRUE(run_until([&] { return client->received() > 0; }));
  session_.reset();
  ASSERT_TRUE(run_until([&] { return client->error() != nullptr; }));
  EXPECT_EQ(client->stream().write(as_bytes("x")), 0u);
}

TEST_F(TransferTest, ChannelsWhoseTargetsNeverReadAreLeftBehind) {
  connect_session();
  FlowTarget sink(loop_, [](size_t) { return Flow::Plan{1, 0, 2, UINT64_MAX}; });
  for (size_t i = 0; i < 10; ++i) {
    auto client = start(sink, {2, 64 * kMega, 1, 0});
    ASSERT_TRUE(run_until([&] { return sink.flows().size() == i + 1; }));
    sink.flows()[i]->read_up_to(0);
    ASSERT_TRUE(run_until([&] { return client->sent() > 2 * kMega; }));
    client.reset();
  }
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{1, 8 * kMega, 2, 8 * kMega}; });
  const auto client = start(target, {2, 8 * kMega, 1, 8 * kMega});
  ASSERT_TRUE(run_until([&] { return client->done(); }));
  EXPECT_TRUE(client->intact());
}

TEST_F(TransferTest, ExecGivesOutputAndStatus) {
  connect_session();
  const auto result = exec("echo hello; echo noise >&2; exit 3");
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->output, "hello\n");
  EXPECT_EQ(result->exit_status, 3);
}

TEST_F(TransferTest, ExecBoundsItsOutputAndDropsStandardError) {
  connect_session();
  const auto much = exec("head -c 1000000 /dev/zero");
  ASSERT_TRUE(much) << much.error().message;
  EXPECT_EQ(much->output.size(), 64u * 1024);
  const auto noise = exec("head -c 1000000 /dev/zero >&2; echo end");
  ASSERT_TRUE(noise) << noise.error().message;
  EXPECT_EQ(noise->output, "end\n");
}

TEST_F(TransferTest, ARunningCommandIsAStream) {
  connect_session();
  std::unique_ptr<net::Stream> command;
  const auto attempt = session_->run("cat; echo noise >&2; echo end", [&](auto result) {
    ASSERT_TRUE(result) << result.error().message;
    command = std::move(*result);
  });
  ASSERT_TRUE(run_until([&] { return command != nullptr; }));
  std::string output;
  command->on_progress([&] {
    output += as_text(command->peek());
    command->consume(command->peek().size());
  });
  ASSERT_EQ(command->write(as_bytes("hello ")), 6u);
  ASSERT_TRUE(run_until([&] { return output == "hello "; }));
  command->finish();
  ASSERT_TRUE(run_until([&] { return command->ended(); }));
  EXPECT_EQ(output, "hello end\n");
}

TEST_F(TransferTest, NoCommandRunsWhereNoneIsPermitted) {
  connect_session("MaxSessions 0");
  std::optional<ErrorCode> outcome;
  const auto attempt = session_->run("cat", [&](auto result) { outcome = result.error().code; });
  ASSERT_TRUE(run_until([&] { return outcome.has_value(); }));
}

TEST_F(TransferTest, ExecWhereNoSessionIsPermitted) {
  connect_session("MaxSessions 0");
  const auto result = exec("echo hello");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::not_allowed);
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{}; });
  EXPECT_TRUE(open(target.target()));
}

}  // namespace
}  // namespace tunproxy::testing
