// SSH connections of their own for groups, to a real sshd through a tap.
#include "core/session_groups.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/ssh/session_fixture.h"
#include "tests/unit/ssh/tap.h"

namespace tunproxy::testing {
namespace {

using State = ssh::Supervisor::State;

class SessionGroupsTest : public SessionTest {
 protected:
  void SetUp() override {
    start_sshd();
    tap_ = std::make_unique<Tap>(loop_, sshd_->port());
    options_.connection = [this] {
      ++made_;
      ssh::SupervisorOptions options;
      options.server = tap_->address();
      options.first_pause = 10ms;
      options.longest_pause = 50ms;
      options.wait_for_session = 60s;
      options.keepalive = 60s;
      options.make_login = [this]() -> Result<std::unique_ptr<ssh::Login>> {
        ++logins_;
        if (bad_login_) return *bad_login_;
        return login(*sshd_);
      };
      return options;
    };
    make_groups();
  }
  void TearDown() override {
    attempts_.clear();
    streams_.clear();
    groups_.reset();
  }

  void make_groups() { groups_ = std::make_unique<SessionGroups>(loop_, options_); }
  /// Asks for a flow of the group; what comes of it is in streams_ and errors_.
  void ask(const std::string& group) {
    GroupedProxy proxy(loop_, *groups_, [group](const Target&) { return group; });
    attempts_[group] = proxy.connect(target_.target(), [this, group](auto stream) {
      if (stream) {
        streams_[group] = std::move(*stream);
      } else {
        errors_[group] = stream.error();
      }
    });
  }
  void open(const std::string& group) {
    ask(group);
    ASSERT_TRUE(run_until([&] { return streams_.contains(group); }));
  }
  void pass(Duration time) {
    const Instant until = loop_.now() + time;
    ASSERT_TRUE(run_until([&] { return loop_.now() >= until; }));
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    groups_->each([&](const std::string& name, uint64_t, const auto&) { names.push_back(name); });
    return names;
  }
  size_t logging_in() const {
    size_t count = 0;
    groups_->each([&](const std::string&, uint64_t, const ssh::Supervisor& connection) {
      count += connection.state() != State::idle && connection.state() != State::online;
    });
    return count;
  }

  SessionGroupsOptions options_;
  std::unique_ptr<Tap> tap_;
  FlowTarget target_{loop_, [](size_t) { return Flow::Plan{}; }};
  std::optional<Error> bad_login_;
  size_t made_ = 0;
  size_t logins_ = 0;
  std::unique_ptr<SessionGroups> groups_;
  std::map<std::string, std::unique_ptr<net::Attempt>> attempts_;
  std::map<std::string, std::unique_ptr<net::Stream>> streams_;
  std::map<std::string, Error> errors_;
};

TEST_F(SessionGroupsTest, EachGroupHasAConnectionAndItsFlowsShareIt) {
  open("a");
  open("b");
  streams_.clear();
  open("a");
  EXPECT_EQ(tap_->connections(), 2U);
  EXPECT_EQ(names(), (std::vector<std::string>{"a", "b"}));
}

TEST_F(SessionGroupsTest, AGroupWithoutFlowsGivesItsConnectionUp) {
  options_.idle = 200ms;
  make_groups();
  open("a");
  open("b");
  streams_.erase("a");
  ASSERT_TRUE(run_until([&] { return names() == std::vector<std::string>{"b"}; }));
  pass(600ms);
  EXPECT_EQ(streams_["b"]->error(), nullptr);
  streams_.clear();
  ASSERT_TRUE(run_until([&] { return names().empty(); }));
  open("a");
}

TEST_F(SessionGroupsTest, NoNumberIsGivenTwice) {
  options_.idle = 50ms;
  make_groups();
  open("a");
  open("b");
  streams_.erase("a");
  ASSERT_TRUE(run_until([&] { return names().size() == 1; }));
  open("c");
  std::map<std::string, uint64_t> numbers;
  groups_->each(
      [&](const std::string& name, uint64_t number, const auto&) { numbers[name] = number; });
  EXPECT_EQ(numbers, (std::map<std::string, uint64_t>{{"b", 2}, {"c", 3}}));
}

TEST_F(SessionGroupsTest, FewLogInAtATimeAndFlowsWaitForAServerThatIsNotThere) {
  tap_->refuse(true);
  for (int n = 0; n < 10; ++n) ask(std::to_string(n));
  size_t most = 0;
  ASSERT_TRUE(run_until([&] {
    most = std::max(most, logging_in());
    return tap_->refusals() >= 8;
  }));
  EXPECT_EQ(most, SessionGroups::kLogins);
  EXPECT_TRUE(streams_.empty() && errors_.empty());
  tap_->refuse(false);
  ASSERT_TRUE(run_until([&] { return streams_.size() == 10; }));
  EXPECT_EQ(made_, 10U);
}

TEST_F(SessionGroupsTest, AServerThatGrantsNoFurtherConnectionIsNotAskedAgainSoon) {
  open("a");
  bad_login_ = Error{ErrorCode::authentication_failed, "somebody would have to be asked"};
  ask("b");
  ASSERT_TRUE(run_until([&] { return errors_.contains("b"); }));
  const size_t logins = logins_;
  for (const char* group : {"b", "c", "d"}) {
    errors_.clear();
    ask(group);
    ASSERT_TRUE(run_until([&] { return !errors_.empty(); }));
    EXPECT_EQ(errors_[group].code, ErrorCode::not_allowed);
    EXPECT_NE(errors_[group].message.find("somebody would have to be asked"), std::string::npos);
  }
  EXPECT_EQ(logins_, logins);
  EXPECT_EQ(streams_["a"]->error(), nullptr);
}

TEST_F(SessionGroupsTest, AfterAWhileItIsAskedAgain) {
  options_.refused = 50ms;
  make_groups();
  bad_login_ = Error{ErrorCode::authentication_failed, "no"};
  ask("a");
  ASSERT_TRUE(run_until([&] { return errors_.contains("a"); }));
  bad_login_.reset();
  pass(100ms);
  open("a");
}

TEST_F(SessionGroupsTest, OnlyWhatHasNoFlowsMakesRoom) {
  tap_->refuse(true);
  for (size_t n = 0; n < SessionGroups::kMaxGroups; ++n) ask(std::to_string(n));
  ask("more");
  ASSERT_TRUE(run_until([&] { return errors_.contains("more"); }));
  EXPECT_EQ(errors_["more"].code, ErrorCode::limit);
  attempts_["7"].reset();  // nobody waits for it any more
  errors_.clear();
  ask("more");
  EXPECT_EQ(names().back(), "more");
  EXPECT_EQ(names().size(), SessionGroups::kMaxGroups);
  pass(100ms);
  EXPECT_TRUE(errors_.empty());
}

TEST_F(SessionGroupsTest, ALostConnectionIsMadeAnewOnlyIfItIsUsed) {
  open("a");
  open("b");
  streams_.erase("a");
  tap_->cut();
  ASSERT_TRUE(run_until([&] { return names().empty(); })) << "b's flow died with its connection";
  pass(300ms);
  EXPECT_EQ(tap_->connections(), 2U);
  streams_.clear();
  open("b");
  EXPECT_EQ(tap_->connections(), 3U);
}

TEST_F(SessionGroupsTest, WhilePausedNothingIsMadeAnewButForFlows) {
  open("a");
  groups_->pause();
  tap_->cut();
  ASSERT_TRUE(run_until([&] { return names().empty(); }));
  EXPECT_EQ(tap_->connections(), 1U);
  streams_.clear();
  open("a");
  EXPECT_EQ(tap_->connections(), 2U);
  groups_->wake();
  EXPECT_EQ(streams_["a"]->error(), nullptr);
}

}  // namespace
}  // namespace tunproxy::testing
