#include "core/ssh/openssh_output.h"

#include <gtest/gtest.h>

#include <random>

namespace tunproxy::ssh {
namespace {

constexpr const char* kDefaults =
    "host h\nuser me\nhostname h\nport 22\naddressfamily any\nidentityfile ~/.ssh/id_rsa\n"
    "identitiesonly no\nstricthostkeychecking ask\nciphers aes128-ctr\nuserknownhostsfile "
    "/root/.ssh/known_hosts /root/.ssh/known_hosts2\nserveraliveinterval 0\n";

const OpensshUser kUser{"me", "/home/me", 1000, "laptop.example"};

Result<OpensshConfig> interpret(const std::string& text) {
  auto options = parse_openssh_output(text);
  if (!options) return options.error();
  return interpret_openssh(*options, *parse_openssh_output(kDefaults), "h", kUser);
}

TEST(OpensshOutput, WhatIsDefaultIsNobodysWish) {
  const auto config = interpret(kDefaults);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server.to_string(), "h:22");
  EXPECT_TRUE(config->login.usual_identities.empty());
  EXPECT_TRUE(config->login.known_hosts.empty());
  EXPECT_FALSE(config->login.identities_only);
  EXPECT_FALSE(config->login.host_keys);
  EXPECT_TRUE(config->login.algorithms.ciphers.empty());
  EXPECT_TRUE(config->ignored.empty());
}

TEST(OpensshOutput, TokensInPaths) {
  const auto config = interpret(
      "user you\nhostname real\nport 2222\nhostkeyalias k\n"
      "identityfile %d/%h-%n-%p-%r-%u-%i-%k-%l-%L-%%\nidentityfile ~/a b\nidentityfile ~x/y\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->login.usual_identities,
            (std::vector<std::string>{"/home/me/real-h-2222-you-me-1000-k-laptop.example-laptop-%",
                                      "/home/me/a b", "~x/y"}));
}

TEST(OpensshOutput, NoneIsNoFile) {
  const auto config =
      interpret("user u\nhostname h\nport 22\nidentityfile none\nuserknownhostsfile none\n");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->login.usual_identities.size(), 1U);  // else the default names would be tried
  EXPECT_EQ(config->login.known_hosts.size(), 1U);
}

TEST(OpensshOutput, NewerOpensshCanRefuse) {
  const auto config = interpret("user u\nhostname h\nport 22\nrefuseconnection not today\n");
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().message.find("not today"), std::string::npos);
}

TEST(OpensshOutput, WhatIsNoConfigurationIsRefused) {
  for (const char* text : {"", "hostname h\n", "hostname h\nport 0\n", "hostname h\nport x\n",
                           "hostname -x\nport 22\n", "hostname a b\nport 22\n", "<html> x\n"}) {
    EXPECT_FALSE(interpret(text)) << text;
  }
  EXPECT_FALSE(parse_openssh_output(std::string("a b\0c\n", 6)));
  std::string many;
  for (int i = 0; i < 5000; ++i) many += "identityfile x\n";
  EXPECT_FALSE(parse_openssh_output(many));
}

TEST(OpensshOutput, AnyChangeOfItIsReadOrRefused) {
  std::mt19937 random(2);
  const std::string base = std::string(kDefaults) +
                           "proxyjump a@b:1,c\nproxycommand nc %h %p\nidentityfile %d/%h\n"
                           "preferredauthentications publickey,password\n"
                           "passwordauthentication no\nnumberofpasswordprompts 2\n";
  for (int round = 0; round < 20000; ++round) {
    std::string text = base;
    for (auto changes = 1 + random() % 5; changes > 0 && !text.empty(); --changes) {
      const size_t at = random() % text.size();
      if (random() % 3 == 0) {
        text.erase(at, 1 + random() % 30);
      } else if (random() % 2 == 0) {
        text[at] = static_cast<char>(random());
      } else {
        text.insert(at, text.substr(random() % text.size(), random() % 30));
      }
    }
    const auto config = interpret(text);
    if (!config) continue;
    EXPECT_TRUE(Target::valid_name(config->server.host()));
    EXPECT_NE(config->server.port(), 0);
  }
}

}  // namespace
}  // namespace tunproxy::ssh
