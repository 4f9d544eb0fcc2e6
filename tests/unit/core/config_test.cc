#include "core/config.h"

#include <gtest/gtest.h>

namespace tunproxy {
namespace {

struct ServerCase {
  const char* text;
  const char* user;  // nullptr: an error
  const char* server;
};

class SshServerParse : public ::testing::TestWithParam<ServerCase> {};

TEST_P(SshServerParse, GivesUserAndServer) {
  const ServerCase& c = GetParam();
  const auto parsed = parse_ssh_server(c.text);
  ASSERT_EQ(parsed.has_value(), c.user != nullptr) << c.text;
  if (!parsed) {
    EXPECT_EQ(parsed.error().code, ErrorCode::usage);
    EXPECT_NE(parsed.error().message.find("[user@]host[:port]"), std::string::npos);
    return;
  }
  EXPECT_EQ(parsed->user, c.user);
  EXPECT_EQ(parsed->server.to_string(), c.server);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, SshServerParse,
    ::testing::Values(
        ServerCase{"host", "", "host:0"}, ServerCase{"you@host", "you", "host:0"},
        ServerCase{"you@host:2222", "you", "host:2222"}, ServerCase{"a@b@host", "a@b", "host:0"},
        ServerCase{"you@[2001:db8::1]:2222", "you", "[2001:db8::1]:2222"},
        ServerCase{"you@2001:db8::1", "you", "[2001:db8::1]:0"},
        ServerCase{"@host", nullptr, nullptr}, ServerCase{"you@", nullptr, nullptr},
        ServerCase{"you@host:", nullptr, nullptr}, ServerCase{"you@host:99999", nullptr, nullptr},
        ServerCase{"-oProxyCommand=x", nullptr, nullptr}, ServerCase{"you@-host", nullptr, nullptr},
        ServerCase{"you@ho st", nullptr, nullptr}));

}  // namespace
}  // namespace tunproxy
