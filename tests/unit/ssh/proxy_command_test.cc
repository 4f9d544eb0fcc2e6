#include "core/ssh/proxy_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "tests/unit/ssh/session_fixture.h"

namespace tunproxy {
namespace {

using ::testing::HasSubstr;

std::string expand(std::string command, const Target& target = Target::from_host("ssh.example", 22),
                   std::string user = "joe", std::string name = "") {
  const auto text = ssh::expand_proxy_command({std::move(command), user, name, nullptr}, target);
  return text ? *text : "error: " + text.error().message;
}

TEST(ProxyCommandTokens, AreReplaced) {
  EXPECT_EQ(expand("nc %h %p"), "nc ssh.example 22");
  EXPECT_EQ(expand("x -l %r --n=%n 100%% %%h"), "x -l joe --n=ssh.example 100% %h");
  EXPECT_EQ(expand("x %n %h", Target::from_host("192.0.2.1", 22), "joe", "alias"),
            "x alias 192.0.2.1");
  EXPECT_EQ(expand("nc %h %p", Target::from_host("2001:db8::1", 2222)), "nc 2001:db8::1 2222");
}

TEST(ProxyCommandTokens, OthersAreRefused) {
  for (const char* command : {"x %", "x %k", "x %{h}", "x % h"}) {
    EXPECT_THAT(expand(command), HasSubstr("error: ProxyCommand: only %h")) << command;
  }
}

TEST(ProxyCommandTokens, WhatTheShellWouldReadIsRefused) {
  for (const char* host : {"a;b", "a|b", "a&b", "$a", "`a`", "a>b", "a<b", "(a)", "{a}", "a'b",
                           "a\"b", "a\\b", "-oProxyCommand=x", "*", "a?", "~", "#", "!a"}) {
    EXPECT_THAT(expand("nc %h", Target::from_host(host, 22)), HasSubstr("error: the SSH server's"))
        << host;
    EXPECT_THAT(expand("nc %r", Target::from_host("h", 22), host),
                HasSubstr("error: the SSH user's"))
        << host;
    EXPECT_EQ(expand("nc %p", Target::from_host(host, 22), host), "nc 22") << host;
  }
  for (const char* user : {"", "a b", "a\nb", "a\tb", "a\x7f"}) {
    EXPECT_THAT(expand("nc %r", Target::from_host("h", 22), user), HasSubstr("error:"));
  }
}

class ProxyCommandTest : public testing::SessionTest {
 protected:
  Opened connect(const std::string& command, io::PrepareChild prepare = nullptr) {
    ssh::ProxyCommand proxy(loop_, {command, sshd_->user(), "", std::move(prepare)});
    std::optional<Opened> outcome;
    const auto attempt = proxy.connect(Target::from_host("127.0.0.1", sshd_->port()),
                                       [&](Opened opened) { outcome = std::move(opened); });
    EXPECT_FALSE(outcome) << "not from within the call";
    EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
    return std::move(*outcome);
  }

  Result<std::unique_ptr<ssh::Session>> open(std::unique_ptr<net::Stream> stream) {
    std::optional<Result<std::unique_ptr<ssh::Session>>> outcome;
    const auto attempt = ssh::Session::open(loop_, std::move(stream), login(*sshd_), {},
                                            [&](auto result) { outcome = std::move(result); });
    EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
    return std::move(*outcome);
  }
};

TEST_F(ProxyCommandTest, CarriesASession) {
  start_sshd();
  auto stream = connect("nc %h %p");
  ASSERT_TRUE(stream) << stream.error().message;
  auto session = open(std::move(*stream));
  ASSERT_TRUE(session) << session.error().message;
  session_ = std::move(*session);
  const auto result = exec("echo through; wc -c < /dev/null");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, "through\n0\n");
}

TEST_F(ProxyCommandTest, WhyItFailedIsTheSessionsError) {
  start_sshd();
  auto stream = connect("echo cannot reach %h >&2");
  ASSERT_TRUE(stream);
  const auto session = open(std::move(*stream));
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, ErrorCode::server_unreachable);
  EXPECT_THAT(session.error().message,
              HasSubstr("the ProxyCommand ended with exit status 0: cannot reach 127.0.0.1"));
}

TEST_F(ProxyCommandTest, ACommandThatIsNotThereSaysSo) {
  start_sshd();
  auto stream = connect("/no/such/program %h");
  ASSERT_TRUE(stream);
  const auto session = open(std::move(*stream));
  ASSERT_FALSE(session);
  EXPECT_THAT(session.error().message, HasSubstr("exit status 127"));
  EXPECT_THAT(session.error().message, HasSubstr("/no/such/program"));
}

TEST_F(ProxyCommandTest, WhatCannotStartFailsTheConnect) {
  start_sshd();
  const auto bad_token = connect("nc %h %p %x");
  ASSERT_FALSE(bad_token);
  EXPECT_EQ(bad_token.error().code, ErrorCode::usage);
  const auto refused = connect("nc %h %p", [] { return "go outside the tunnel"; });
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("go outside the tunnel"));
}

}  // namespace
}  // namespace tunproxy
