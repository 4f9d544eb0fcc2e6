// A Supervisor whose connections to a real sshd go through a tap.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/ssh/supervisor.h"
#include "tests/unit/ssh/session_fixture.h"
#include "tests/unit/ssh/tap.h"

namespace tunproxy::testing {

class SupervisorTest : public SessionTest {
 protected:
  void SetUp() override {
    start_sshd();
    tap_ = std::make_unique<Tap>(loop_, sshd_->port());
    make_supervisor(usual_options());
  }
  void TearDown() override {
    attempt_.reset();
    supervisor_.reset();
  }

  ssh::SupervisorOptions usual_options() {
    ssh::SupervisorOptions options;
    options.keepalive = 60s;
    options.asleep = [this] { return asleep_; };
    options.server = tap_->address();
    options.first_pause = 10ms;
    options.longest_pause = 50ms;
    options.wait_for_session = 60s;
    options.make_login = [this]() -> Result<std::unique_ptr<ssh::Login>> {
      if (bad_login_) return *bad_login_;
      return login(*sshd_);
    };
    return options;
  }
  void make_supervisor(ssh::SupervisorOptions options) {
    supervisor_ = std::make_unique<ssh::Supervisor>(loop_, std::move(options));
    supervisor_->on_state([this](ssh::Supervisor::State state, const Error* error) {
      states_.push_back(state);
      if (error != nullptr) reason_ = error->code;
    });
  }

  Result<void> start() {
    std::optional<Result<void>> outcome;
    supervisor_->start([&](Result<void> started) { outcome = std::move(started); });
    EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
    return *outcome;
  }

  /// What a connect to `target` ends with; the stream is closed again.
  std::optional<ErrorCode> connect(const Target& target) {
    std::optional<std::optional<ErrorCode>> outcome;
    attempt_ = supervisor_->connect(target, [&](auto stream) {
      outcome = stream ? std::nullopt : std::optional(stream.error().code);
    });
    EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
    return outcome.value_or(ErrorCode::general);
  }

  /// A flow that stays.
  std::unique_ptr<Flow> open_flow(const Target& target, Flow::Plan plan) {
    std::unique_ptr<Flow> flow;
    attempt_ = supervisor_->connect(target, [&](auto stream) {
      if (stream) flow = std::make_unique<Flow>(std::move(*stream), plan);
    });
    EXPECT_TRUE(run_until([&] { return flow != nullptr; }));
    return flow;
  }

  Duration asleep_{};
  std::unique_ptr<Tap> tap_;
  std::unique_ptr<ssh::Supervisor> supervisor_;
  std::unique_ptr<net::Attempt> attempt_;
  std::optional<Error> bad_login_;
  std::vector<ssh::Supervisor::State> states_;
  std::optional<ErrorCode> reason_;
};

}  // namespace tunproxy::testing
