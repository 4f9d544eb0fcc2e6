// Signs of life, and what a session says of its load.
#include <signal.h>

#include <optional>
#include <utility>

#include "tests/unit/ssh/session_fixture.h"

namespace tunproxy::testing {
namespace {

class ProbeTest : public SessionTest {
 protected:
  using Outcome = std::optional<Result<void>>;

  // Stops or continues the server's processes, as a machine that is frozen.
  void signal(int number) { sshd_->signal(number); }
};

TEST_F(ProbeTest, TheServerAnswersEachAtOnce) {
  connect_session();
  std::vector<Outcome> outcomes(20);
  std::vector<std::unique_ptr<net::Attempt>> attempts;
  for (Outcome& outcome : outcomes) {
    attempts.push_back(session_->probe([&](Result<void> result) { outcome = std::move(result); }));
  }
  EXPECT_FALSE(outcomes[0]) << "only from the loop";
  attempts[7].reset();  // its reply comes all the same, and is nobody else's
  ASSERT_TRUE(run_until([&] { return outcomes[19].has_value(); }));
  for (size_t i = 0; i < outcomes.size(); ++i) {
    EXPECT_EQ(outcomes[i].has_value(), i != 7) << i;
    EXPECT_TRUE(i == 7 || *outcomes[i]);
  }
}

TEST_F(ProbeTest, WhatComesIsASignOfLifeAndSilenceIsNone) {
  connect_session();
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{1, 10, 2, 10}; });
  const Instant before = session_->last_heard();
  ASSERT_TRUE(run_until([&] { return loop_.now() > before + 50ms; }));
  auto stream = open(target.target());
  ASSERT_TRUE(stream);
  const Instant heard = session_->last_heard();
  EXPECT_GT(heard, before);

  signal(SIGSTOP);
  Outcome outcome;
  auto attempt = session_->probe([&](Result<void> result) { outcome = std::move(result); });
  ASSERT_TRUE(run_until([&] { return loop_.now() > heard + 200ms; }));
  EXPECT_FALSE(outcome);
  signal(SIGCONT);
  ASSERT_TRUE(run_until([&] { return outcome.has_value(); }));
  EXPECT_TRUE(*outcome);
  EXPECT_GT(session_->last_heard(), heard);
}

TEST_F(ProbeTest, EndsWithTheConnection) {
  connect_session();
  Outcome outcome;
  const auto attempt = session_->probe([&](Result<void> result) { outcome = std::move(result); });
  sshd_->kill();
  ASSERT_TRUE(run_until([&] { return outcome.has_value() && session_->error() != nullptr; }));
  Outcome later;
  const auto another = session_->probe([&](Result<void> result) { later = std::move(result); });
  ASSERT_TRUE(run_until([&] { return later.has_value(); }));
  EXPECT_FALSE(*later);
}

TEST_F(ProbeTest, LoadCountsWhatPeopleUse) {
  connect_session();
  EXPECT_EQ(session_->load().channels, 0u);  // the standing channel is nobody's
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{1, 5000, 2, 3000}; });
  auto stream = open(target.target());
  ASSERT_TRUE(stream);
  const auto second = session_->connect(target.target(), [](Opened) {});
  EXPECT_EQ(session_->load().channels, 2u);
  EXPECT_EQ(session_->load().opening, 1u);
  Flow flow(std::move(*stream), {2, 3000, 1, 5000});
  ASSERT_TRUE(run_until([&] { return flow.done(); }));
  EXPECT_EQ(session_->load().received, 5000u);
  EXPECT_EQ(session_->load().sent, 3000u);
}

}  // namespace
}  // namespace tunproxy::testing
