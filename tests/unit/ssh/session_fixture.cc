#include "tests/unit/ssh/session_fixture.h"

#include <optional>
#include <utility>

namespace tunproxy::testing {

FlowTarget::FlowTarget(io::Loop& loop, PlanFor plan_for) {
  auto listener = io::TcpListener::listen(
      loop, Endpoint{IpAddress::parse("127.0.0.1").value(), 0},
      [this, plan_for = std::move(plan_for)](std::unique_ptr<io::TcpStream> stream) {
        const Flow::Plan plan = plan_for(flows_.size());
        flows_.push_back(std::make_unique<Flow>(std::move(stream), plan));
      });
  EXPECT_TRUE(listener);
  if (listener) listener_ = std::move(*listener);
}

std::unique_ptr<net::Stream> SessionTest::dial() {
  std::optional<Result<std::unique_ptr<io::TcpStream>>> outcome;
  const auto attempt = io::dial(loop_, Target::from_host("127.0.0.1", sshd_->port()), {},
                                [&](auto result) { outcome = std::move(result); });
  EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
  EXPECT_TRUE(*outcome) << outcome->error().message;
  return std::move(**outcome);
}

Result<std::unique_ptr<ssh::Session>> SessionTest::open_session(ssh::SessionOptions options) {
  std::optional<Result<std::unique_ptr<ssh::Session>>> outcome;
  const auto attempt = ssh::Session::open(loop_, dial(), login(*sshd_), options,
                                          [&](auto result) { outcome = std::move(result); });
  EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
  return std::move(*outcome);
}

void SessionTest::connect_session(const std::string& config, ssh::SessionOptions options) {
  start_sshd(config);
  auto session = open_session(options);
  ASSERT_TRUE(session) << session.error().message;
  session_ = std::move(*session);
}

SessionTest::Opened SessionTest::open(const Target& target, Duration limit) {
  std::optional<Opened> outcome;
  const auto attempt =
      session_->connect(target, [&](Opened result) { outcome = std::move(result); });
  EXPECT_TRUE(run_until([&] { return outcome.has_value(); }, limit));
  return std::move(*outcome);
}

Result<ssh::ExecResult> SessionTest::exec(const std::string& command) {
  std::optional<Result<ssh::ExecResult>> outcome;
  const auto attempt =
      session_->exec(command, [&](Result<ssh::ExecResult> result) { outcome = std::move(result); });
  EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
  return std::move(*outcome);
}

}  // namespace tunproxy::testing
