// Opening channels: many at once, and every way in which an open can end.
#include <sys/socket.h>

#include <optional>
#include <utility>

#include "core/base/unique_fd.h"
#include "tests/unit/ssh/session_fixture.h"

namespace tunproxy::testing {
namespace {

using Outcome = std::optional<Result<std::unique_ptr<net::Stream>>>;

// A listener whose queue is full, so that the kernel drops further SYNs.
class Blackhole {
 public:
  Blackhole() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_storage storage{};
    auto* address = reinterpret_cast<sockaddr*>(&storage);
    socklen_t length = Endpoint{IpAddress::parse("127.0.0.1").value(), 0}.to_sockaddr(&storage);
    EXPECT_EQ(::bind(listener_.get(), address, length), 0);
    EXPECT_EQ(::listen(listener_.get(), 0), 0);
    EXPECT_EQ(::getsockname(listener_.get(), address, &length), 0);
    target_ = Endpoint::from(address);
    for (auto& filler : fillers_) {
      filler.reset(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      ::connect(filler.get(), address, length);
    }
  }
  Target target() const { return target_; }

 private:
  UniqueFd listener_;
  UniqueFd fillers_[4];
  Target target_;
};

class OpenTest : public SessionTest {
 protected:
  ErrorCode code_of_open(const Target& target) {
    const auto stream = open(target);
    EXPECT_FALSE(stream);
    return stream ? ErrorCode::general : stream.error().code;
  }
};

TEST_F(OpenTest, FiftyAtOnceReachEachItsOwnTarget) {
  constexpr size_t kOpens = 50;
  constexpr uint64_t kBytes = 10000;
  connect_session();
  std::vector<std::unique_ptr<FlowTarget>> targets;
  for (size_t i = 0; i < kOpens; ++i) {
    targets.push_back(std::make_unique<FlowTarget>(loop_, [i](size_t) {
      return Flow::Plan{100 + i, kBytes, 200 + i, kBytes};
    }));
  }
  std::vector<Outcome> outcomes(kOpens);
  std::vector<std::unique_ptr<net::Attempt>> attempts;
  for (size_t i = 0; i < kOpens; ++i) {
    attempts.push_back(session_->connect(
        targets[i]->target(), [&, i](Opened result) { outcomes[i] = std::move(result); }));
  }
  const auto all_open = [&] {
    return std::all_of(outcomes.begin(), outcomes.end(), [](const auto& o) { return o && *o; });
  };
  ASSERT_TRUE(run_until(all_open));

  std::vector<std::unique_ptr<Flow>> flows;
  for (size_t i = 0; i < kOpens; ++i) {
    flows.push_back(std::make_unique<Flow>(std::move(**outcomes[i]),
                                           Flow::Plan{200 + i, kBytes, 100 + i, kBytes}));
  }
  const auto all_done = [&] {
    return std::all_of(flows.begin(), flows.end(), [](const auto& f) { return f->done(); });
  };
  ASSERT_TRUE(run_until(all_done));
  for (size_t i = 0; i < kOpens; ++i) {
    EXPECT_TRUE(flows[i]->intact()) << i;
    ASSERT_EQ(targets[i]->flows().size(), 1u) << i;
    EXPECT_TRUE(targets[i]->flows()[0]->intact()) << i;
  }
}

TEST_F(OpenTest, BlackholedTargetDelaysNobody) {
  connect_session();
  const Blackhole blackhole;
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{1, 1000, 2, 1000}; });
  Outcome lost;
  const auto attempt =
      session_->connect(blackhole.target(), [&](Opened result) { lost = std::move(result); });
  for (int i = 0; i < 20; ++i) {
    auto stream = open(target.target());
    ASSERT_TRUE(stream) << stream.error().message;
    Flow flow(std::move(*stream), {2, 1000, 1, 1000});
    ASSERT_TRUE(run_until([&] { return flow.done(); }));
  }
  EXPECT_FALSE(lost);
}

TEST_F(OpenTest, BlackholedTargetTimesOut) {
  ssh::SessionOptions options;
  options.open_timeout = 1s;
  connect_session("", options);
  const Blackhole blackhole;
  Outcome lost;
  const auto attempt =
      session_->connect(blackhole.target(), [&](Opened result) { lost = std::move(result); });
  ASSERT_TRUE(run_until([&] { return lost.has_value(); }));
  ASSERT_FALSE(*lost);
  EXPECT_EQ(lost->error().code, ErrorCode::timed_out);
}

TEST_F(OpenTest, RefusedTarget) {
  connect_session();
  Target closed;
  {
    FlowTarget target(loop_, [](size_t) { return Flow::Plan{}; });
    closed = target.target();
  }
  EXPECT_EQ(code_of_open(closed), ErrorCode::refused);
}

TEST_F(OpenTest, NameThatDoesNotResolve) {
  connect_session();
  EXPECT_EQ(code_of_open(Target::from_host("no..such", 80)), ErrorCode::host_unreachable);
}

TEST_F(OpenTest, NameIsResolvedAtTheServer) {
  connect_session();
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{1, 10, 2, 10}; });
  EXPECT_TRUE(open(Target::from_host("localhost", target.target().port())));
}

TEST_F(OpenTest, ProhibitedTarget) {
  connect_session("PermitOpen 127.0.0.1:1");
  EXPECT_EQ(code_of_open(Target::from_host("127.0.0.1", 2)), ErrorCode::not_allowed);
}

TEST_F(OpenTest, ServerWithoutForwarding) {
  connect_session("AllowTcpForwarding no");
  EXPECT_EQ(code_of_open(Target::from_host("127.0.0.1", 2)), ErrorCode::not_allowed);
}

TEST_F(OpenTest, OpensThatWereTakenBackAreClosed) {
  connect_session();
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{1, 1000, 2, 1000}; });
  for (int i = 0; i < 50; ++i) {
    (void)session_->connect(target.target(), [](Opened) { FAIL() << "cancelled"; });
  }
  ASSERT_TRUE(run_until([&] {
    return target.flows().size() == 50 &&
           std::all_of(target.flows().begin(), target.flows().end(),
                       [](const auto& flow) { return flow->stream().ended(); });
  }));
  EXPECT_TRUE(open(target.target()));
}

TEST_F(OpenTest, AttemptMayBeDestroyedByItsDone) {
  connect_session();
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{}; });
  std::unique_ptr<net::Attempt> attempt;
  bool called = false;
  attempt = session_->connect(target.target(), [&](Opened result) {
    EXPECT_TRUE(result);
    attempt.reset();
    called = true;
  });
  EXPECT_TRUE(run_until([&] { return called; }));
}

}  // namespace
}  // namespace tunproxy::testing
