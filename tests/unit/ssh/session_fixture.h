// A session to a real sshd, and targets behind it, all in one loop.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/io/loop.h"
#include "core/io/tcp.h"
#include "core/ssh/session.h"
#include "tests/support/key_login.h"
#include "tests/support/memory_stream.h"
#include "tests/support/sshd.h"
#include "tests/unit/ssh/flow.h"

namespace tunproxy::testing {

/// A listener on 127.0.0.1 that gives each connection to one Flow.
class FlowTarget {
 public:
  using PlanFor = std::function<Flow::Plan(size_t index)>;
  FlowTarget(io::Loop& loop, PlanFor plan_for);
  Target target() const { return Target(listener_->local()); }
  std::vector<std::unique_ptr<Flow>>& flows() { return flows_; }

 private:
  std::vector<std::unique_ptr<Flow>> flows_;
  std::unique_ptr<io::TcpListener> listener_;
};

class SessionTest : public ::testing::Test {
 protected:
  using Opened = Result<std::unique_ptr<net::Stream>>;

  void start_sshd(const std::string& config = "") { sshd_ = std::make_unique<Sshd>(config); }
  /// A TCP connection to the sshd.
  std::unique_ptr<net::Stream> dial();
  Result<std::unique_ptr<ssh::Session>> open_session(ssh::SessionOptions options = {});
  /// start_sshd() and open_session(), which must work.
  void connect_session(const std::string& config = "", ssh::SessionOptions options = {});
  Opened open(const Target& target, Duration limit = 20s);
  Result<ssh::ExecResult> exec(const std::string& command);
  bool run_until(const std::function<bool()>& condition, Duration limit = 60s) {
    return testing::run_until(loop_, condition, limit);
  }
  static std::unique_ptr<ssh::Login> login(const Sshd& sshd) {
    return std::make_unique<KeyLogin>(sshd.user(), sshd.identity());
  }

  io::Loop loop_;
  std::unique_ptr<Sshd> sshd_;
  std::unique_ptr<ssh::Session> session_;
};

}  // namespace tunproxy::testing
