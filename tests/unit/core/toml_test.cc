#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "core/config_toml.h"
#include "tests/support/test_key.h"

namespace tunproxy {
namespace {

constexpr const char* kExample = R"(# a comment
ssh = "you@host"
jump = ["gate", "me@inner:2222"]
mtu = 1400
no_tun = false
identities-only = true
route = ["10.0.0.0/8", '2001:db8::/32']
allowed_hosts = """
  a.example
  # and
  *.b.example

"""
)";

TEST(Toml, SaysWhatTheCommandLineSays) {
  const auto config = parse_toml(kExample, "example");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->ssh.server->user, "you");
  ASSERT_EQ(config->ssh.jump->size(), 2U);
  EXPECT_EQ(config->ssh.jump->at(1).server.to_string(), "inner:2222");
  EXPECT_EQ(config->mtu, 1400);
  EXPECT_TRUE(config->tun);
  EXPECT_EQ(config->ssh.login.identities_only, true);
  EXPECT_EQ(config->routes.size(), 2U);
  EXPECT_EQ(config->rules.allowed_hosts, (std::vector<std::string>{"a.example", "*.b.example"}));
}

TEST(Toml, ALaterOneReplacesListsAndKeepsTheRest) {
  Config config;
  ASSERT_TRUE(merge_toml(config, kExample, "first"));
  ASSERT_TRUE(merge_toml(config, "route = ['192.0.2.0/24']\n", "second"));
  ASSERT_EQ(config.routes.size(), 1U);
  EXPECT_EQ(config.mtu, 1400);
}

TEST(Toml, APrivateKeyKeepsItsLines) {
  const std::string key = testing::kPrivateKey;
  const auto config = parse_toml("private-key = '''\n" + key + "'''\n", "x");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->ssh.login.keys.size(), 1U);
  EXPECT_EQ(config->ssh.login.keys[0].text(), key);
}

struct BadText {
  const char* text;
  const char* said;
};

class BadToml : public ::testing::TestWithParam<BadText> {};

TEST_P(BadToml, SaysWhere) {
  const auto config = parse_toml(GetParam().text, "my.toml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, ErrorCode::usage);
  EXPECT_EQ(config.error().message.find(GetParam().said), 0U) << config.error().message;
  EXPECT_EQ(config.error().message.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Texts, BadToml,
    ::testing::Values(BadText{"\n\nidentiy = ['x']",
                              "my.toml:3: there is no key 'identiy'; is 'identity' meant?"},
                      BadText{"mtu = '1400'", "my.toml:1: mtu: it must be a number"},
                      BadText{"mtu = 1400.5", "my.toml:1: mtu: it must be a number"},
                      BadText{"mtu = 1", "my.toml:1: mtu: '1' is not a number from 1280"},
                      BadText{"mtu = -1", "my.toml:1: mtu: '-1' is not a number"},
                      BadText{"mtu = 9223372036854775807", "my.toml:1: mtu:"},
                      BadText{"no-tun = 'yes'", "my.toml:1: no-tun: it must be true or false"},
                      BadText{"ssh = 1", "my.toml:1: ssh: it must be a text in quotes"},
                      BadText{"ssh = ['a']", "my.toml:1: ssh: it must be a text in quotes"},
                      BadText{"route = 1", "my.toml:1: route: it must be a list of texts"},
                      BadText{"route = [\n'10.0.0.0/8',\n1]",
                              "my.toml:3: route: each of the list must be"},
                      BadText{"route = [\n'10.0.0.0/8',\n'x']", "my.toml:3: route: 'x'"},
                      BadText{"[ssh]\nport = 1", "my.toml:1: ssh: it must be a text in quotes"},
                      BadText{"[more]\nport = 1", "my.toml:1: there is no key 'more'"},
                      BadText{"ssh = 'a'\nssh = 'b'", "my.toml:2: "},
                      BadText{"ssh = a", "my.toml:1: "}, BadText{"ssh = 'a", "my.toml:1: "},
                      BadText{"via = 'http://u:pw@p'", "my.toml:1: via: a pass"},
                      BadText{"ssh = ''", "my.toml:1: ssh: ''"},
                      BadText{"log-file = ''", "my.toml:1: log-file"},
                      BadText{"\"a\\nb\" = 1", "my.toml:1: there is no key 'a?b'"}));

TEST(Toml, AnyChangeOfItIsReadOrRefusedInOneLine) {
  std::mt19937 random(1);
  const std::string base = kExample + print_toml(Config{});
  for (int round = 0; round < 3000; ++round) {
    std::string text = base;
    for (auto changes = 1 + random() % 4; changes > 0 && !text.empty(); --changes) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, 1 + random() % 20);
          break;
        case 2:
          text.insert(at, text.substr(random() % text.size(), random() % 20));
          break;
        default:
          text.insert(at, 1, "\"'[]{}=\n\\#.,"[random() % 12]);
      }
    }
    const auto config = parse_toml(text, "changed");
    if (config) {
      const std::string printed = print_toml(*config);
      const auto again = parse_toml(printed, "printed");
      ASSERT_TRUE(again) << again.error().message << "\n" << printed;
      EXPECT_EQ(print_toml(*again), printed);
    } else {
      EXPECT_EQ(config.error().message.find("changed:"), 0U) << config.error().message;
      EXPECT_EQ(config.error().message.find('\n'), std::string::npos) << config.error().message;
    }
  }
}

class TomlFile : public ::testing::Test {
 protected:
  ~TomlFile() override { ::unlink(path_.c_str()); }

  // What is logged while it is read.
  std::string read(const std::string& text, mode_t mode) {
    std::ofstream(path_) << text;
    ::chmod(path_.c_str(), mode);
    ::testing::internal::CaptureStderr();
    Config config;
    result_ = merge_toml_file(config, path_);
    return ::testing::internal::GetCapturedStderr();
  }

  const std::string path_ = ::testing::TempDir() + "toml_test." + std::to_string(::getpid());
  Result<void> result_;
};

TEST_F(TomlFile, WarnsOfSecretsThatOthersCanRead) {
  EXPECT_NE(read("ssh-password = 'x'", 0644).find("chmod 600"), std::string::npos);
  EXPECT_EQ(read("ssh-password = 'x'", 0600), "");
  EXPECT_EQ(read("ssh = 'x'", 0644), "");
  EXPECT_TRUE(result_);
}

TEST_F(TomlFile, ThatIsTooLongOrMissingIsRefused) {
  read(std::string((1 << 20) + 1, '#'), 0600);
  ASSERT_FALSE(result_);
  EXPECT_NE(result_.error().message.find("too long"), std::string::npos);
  Config config;
  EXPECT_FALSE(merge_toml_file(config, "/no/such/file"));
  EXPECT_FALSE(merge_toml_file(config, "/"));
}

}  // namespace
}  // namespace tunproxy
