#include "core/ssh_way.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "tests/support/memory_stream.h"

namespace tunproxy {
namespace {

using ::testing::HasSubstr;
using testing::run_until;

class SshWayTest : public ::testing::Test {
 protected:
  SshWayTest() { settings_.path.push_back(host("server")); }

  static SshHost host(const char* name) {
    SshHost made;
    made.user = "joe";
    made.server = Target::from_host(name, 22);
    made.name = name;
    return made;
  }
  void via(ViaProxy::Scheme scheme, const char* user = "") {
    settings_.via = ViaProxy{scheme, user, *Target::parse("127.0.0.1:9")};
  }
  Result<std::unique_ptr<SshWay>> create() {
    return SshWay::create(loop_, settings_, outside_, [this](const SshHost& hop) {
      hops_.push_back(hop.name);
      ssh::SupervisorOptions options;
      options.server = hop.server;
      options.make_login = [] {
        return Error{ErrorCode::authentication_failed, "no login in this test"};
      };
      return options;
    });
  }
  std::string refusal() {
    const auto way = create();
    if (way) return "";
    EXPECT_EQ(way.error().code, ErrorCode::usage);
    return way.error().message;
  }

  io::Loop loop_;
  SshSettings settings_;
  SshWay::Outside outside_;
  std::vector<std::string> hops_;
};

TEST_F(SshWayTest, AServerWithNothingInTheWayIsDialled) {
  const auto way = create();
  ASSERT_TRUE(way);
  EXPECT_EQ((*way)->proxy(), nullptr);
  bool ready = false;
  (*way)->start([&](const Result<void>& started) { ready = started.has_value(); });
  EXPECT_TRUE(ready);
}

TEST_F(SshWayTest, AProxyOrACommandIsTheWay) {
  via(ViaProxy::Scheme::http);
  EXPECT_NE((*create())->proxy(), nullptr);
  via(ViaProxy::Scheme::socks5);
  EXPECT_NE((*create())->proxy(), nullptr);
  settings_.via.reset();
  settings_.path.front().proxy_command = "nc %h %p";
  EXPECT_NE((*create())->proxy(), nullptr);
}

TEST_F(SshWayTest, JumpsAreMadeInOrderAndNameThemselves) {
  settings_.path = {host("first"), host("second"), host("server")};
  const auto way = create();
  ASSERT_TRUE(way);
  EXPECT_THAT(hops_, ::testing::ElementsAre("first", "second"));
  std::optional<Result<void>> outcome;
  (*way)->start([&](Result<void> started) { outcome = std::move(started); });
  ASSERT_TRUE(run_until(loop_, [&] { return outcome.has_value(); }));
  ASSERT_FALSE(*outcome);
  EXPECT_THAT(outcome->error().message, HasSubstr("the jump host joe@first:22: "));
}

TEST_F(SshWayTest, WhatContradictsItselfIsRefused) {
  via(ViaProxy::Scheme::http);
  settings_.path.front().proxy_command = "nc %h %p";
  EXPECT_THAT(refusal(), HasSubstr("not both"));
}

TEST_F(SshWayTest, ACommandThatWouldGoIntoTheTunnelIsRefused) {
  settings_.path.front().proxy_command = "nc %h %p";
  outside_.socket = [](int) { return Result<void>(); };
  EXPECT_THAT(refusal(), HasSubstr("past the tunnel"));
  outside_.child = [] { return nullptr; };
  EXPECT_EQ(refusal(), "");
}

TEST_F(SshWayTest, APasswordMustBeReadableAndFit) {
  via(ViaProxy::Scheme::http, "joe");
  settings_.via_password.file = "/no/such/file";
  EXPECT_THAT(refusal(), HasSubstr("/no/such/file"));
  settings_.via_password = {};
  settings_.via_password.text.emplace(std::string(300, 'x'));
  EXPECT_THAT(refusal(), HasSubstr("255"));
  via(ViaProxy::Scheme::socks5, "joe");
  EXPECT_NE(refusal(), "");
  settings_.via_password.text.emplace("fits");
  EXPECT_EQ(refusal(), "");
}

}  // namespace
}  // namespace tunproxy
