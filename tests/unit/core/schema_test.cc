#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "core/config_schema.h"
#include "core/config_toml.h"
#include "tests/support/test_key.h"

namespace tunproxy {
namespace {

constexpr const char* kKeyBlob =
    "AAAAC3NzaC1lZDI1NTE5AAAAIGBUvzvBnRmVp0jG8JcEqhZ5cRkFfAqnrgrJw8i3nPnS";
const std::string kKnownHost = "[server.example]:2222 ssh-ed25519 " + std::string(kKeyBlob);

// A value of each key that is not its default.
const std::map<std::string_view, std::vector<std::string>> kSamples = {
    {"ssh", {"you@host:2222"}},
    {"socks5", {"tls://proxy:1443"}},
    {"port", {"2022"}},
    {"ssh-config", {"/etc/my config"}},
    {"jump", {"a@gate:2201", "[2001:db8::1]:22", "[2001:db8::2]"}},
    {"proxy-command", {"nc -x \"p\\q\" %h %p"}},
    {"via", {"https://me@proxy:8443"}},
    {"via-password-file", {"/secrets/via"}},
    {"via-password", {"via secret"}},
    {"sessions", {"7"}},
    {"keepalive", {"11"}},
    {"identity", {"/keys/a b", "/keys/c"}},
    {"certificate", {"/keys/a-cert.pub"}},
    {"identities-only", {"true"}},
    {"identity-agent", {"none"}},
    {"preferred-authentications", {"publickey,password"}},
    {"ssh-password-file", {"/secrets/ssh"}},
    {"ssh-password", {"ssh secret"}},
    {"private-key", {testing::kPrivateKey, testing::kPrivateKey}},
    {"passphrase", {"pass secret"}},
    {"host-key-policy", {"accept-new"}},
    {"known-hosts", {"/a", "/b"}},
    {"system-known-hosts", {"/c"}},
    {"known-host", {kKnownHost, "@revoked *.example ssh-ed25519 " + std::string(kKeyBlob)}},
    {"hash-known-hosts", {"false"}},
    {"host-key-alias", {"alias"}},
    {"ciphers", {"aes256-gcm@openssh.com,aes128-ctr"}},
    {"macs", {"hmac-sha2-256"}},
    {"kex", {"curve25519-sha256"}},
    {"host-key-algorithms", {"ssh-ed25519"}},
    {"public-key-algorithms", {"rsa-sha2-512"}},
    {"socks5-user", {"me"}},
    {"socks5-password-file", {"/secrets/socks5"}},
    {"socks5-password", {"socks5 secret"}},
    {"socks5-ca", {"/ca"}},
    {"socks5-cert", {"/cert"}},
    {"socks5-key", {"/key"}},
    {"socks5-name", {"proxy.example"}},
    {"tun", {"t0"}},
    {"no-tun", {"true"}},
    {"mtu", {"9000"}},
    {"route", {"10.0.0.0/8", "2001:db8::/32"}},
    {"exclude", {"10.1.0.0/16"}},
    {"command", {"sh", "-c", "echo 'a' \"b\" \\"}},
    {"socks", {"127.0.0.1:1080"}},
    {"socks-user", {"alice:/secrets/alice", "bob:/secrets/b:ob"}},
    {"socks-open", {"true"}},
    {"socks-clear-udp", {"true"}},
    {"socks5-clear-udp", {"true"}},
    {"socks-tls", {"/a:cert:/key"}},
    {"socks-client-ca", {"/clients"}},
    {"socks-tls-minimum", {"1.3"}},
    {"isolate", {"destination"}},
    {"max-connections", {"12"}},
    {"max-connections-per-client", {"13"}},
    {"udp", {"udpgw"}},
    {"udpgw", {"gw:7400"}},
    {"udp-associations", {"9"}},
    {"udp-idle", {"10"}},
    {"dns", {"192.0.2.53:53"}},
    {"rules", {"/rules"}},
    {"rule", {"deny *.example:25", "allow 10.0.0.0/8"}},
    {"allowed-hosts", {"a.example", "10.0.0.0/8"}},
    {"allowed-ports", {"443", "1000-2000"}},
    {"default-action", {"deny"}},
    {"control", {"/run/control"}},
    {"metrics", {"127.0.0.1:9100"}},
    {"access-log", {"/log/access"}},
    {"access-log-hosts", {"true"}},
    {"profile", {"mobile"}},
    {"memory", {"64"}},
    {"keep-trying", {"true"}},
    {"log-level", {"debug"}},
    {"log-file", {"/log/t"}},
};

TEST(Schema, EveryKeyIsSetPrintedAndReadBack) {
  ASSERT_EQ(kSamples.size(), settings().size());
  for (const Setting& setting : settings()) {
    ASSERT_TRUE(kSamples.count(setting.key)) << setting.key;
    const std::vector<std::string>& texts = kSamples.at(setting.key);
    Config config;
    const auto before = setting.get(config);
    for (const std::string& text : texts) {
      const auto done = set(config, setting.key, text);
      ASSERT_TRUE(done) << setting.key << ": " << done.error().message;
    }
    EXPECT_NE(setting.get(config), before) << setting.key << " changes nothing";
    if (setting.secret) continue;
    EXPECT_EQ(setting.get(config), texts);
    const std::string printed = print_toml(config);
    const auto read = parse_toml(printed, "printed");
    ASSERT_TRUE(read) << read.error().message << "\n" << printed;
    EXPECT_EQ(setting.get(*read), texts) << printed;
    EXPECT_EQ(print_toml(*read), printed);
  }
}

TEST(Schema, ResettingGivesTheDefault) {
  const std::string fresh = print_toml(Config{});
  for (const Setting& setting : settings()) {
    Config config;
    for (const std::string& text : kSamples.at(setting.key)) {
      ASSERT_TRUE(set(config, setting.key, text));
    }
    ASSERT_TRUE(set(config, setting.key, ""));
    EXPECT_EQ(print_toml(config), fresh) << setting.key;
  }
}

// What a program that embeds the tunnel does itself.
TEST(Schema, TheLibraryLacksWhatOnlyTheCommandLineDoes) {
  std::set<std::string_view> missing;
  for (const Setting& setting : settings()) {
    Config config;
    for (const std::string& text : kSamples.at(setting.key)) {
      ASSERT_TRUE(set(config, setting.key, text));
    }
    const auto good = check_for_library(config);
    if (good) continue;
    missing.insert(setting.key);
    EXPECT_EQ(good.error().message.find(std::string(setting.key) + ": not in the library: "), 0U);
    ASSERT_TRUE(set(config, setting.key, ""));
    EXPECT_TRUE(check_for_library(config));
  }
  EXPECT_EQ(missing, (std::set<std::string_view>{"command", "exclude", "log-file", "mtu", "no-tun",
                                                 "route", "tun"}));
}

TEST(Schema, SecretsAreNeverPrinted) {
  Config config;
  for (const Setting& setting : settings()) {
    for (const std::string& text : kSamples.at(setting.key)) {
      if (setting.secret) {
        ASSERT_TRUE(set(config, setting.key, text));
      }
    }
  }
  const std::string printed = print_toml(config);
  for (const Setting& setting : settings()) {
    if (!setting.secret) continue;
    EXPECT_FALSE(setting.command_line);
    EXPECT_NE(printed.find("# " + std::string(setting.key) + " is set"), std::string::npos);
    for (const std::string& text : kSamples.at(setting.key)) {
      EXPECT_EQ(printed.find(text), std::string::npos) << setting.key;
    }
  }
  EXPECT_TRUE(parse_toml(printed, "printed"));
}

TEST(Schema, EveryKeyHasANameOfItsOwnAndHelp) {
  std::set<std::string_view> keys;
  for (const Setting& setting : settings()) {
    EXPECT_TRUE(keys.insert(setting.key).second) << setting.key;
    EXPECT_FALSE(setting.help.empty()) << setting.key;
    EXPECT_EQ(setting.value.empty(), setting.kind == ValueKind::flag) << setting.key;
    if (!setting.rival.empty()) {
      ASSERT_NE(find_setting(setting.rival), nullptr);
      EXPECT_EQ(find_setting(setting.rival)->rival, setting.key);
    }
  }
}

TEST(Schema, EveryKeyIsInTheDocumentation) {
  std::ifstream file(TUNPROXY_DOCS "/configuration.md");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  for (const Setting& setting : settings()) {
    EXPECT_NE(text.find("| `" + std::string(setting.key) + "` |"), std::string::npos)
        << setting.key;
  }
}

TEST(Schema, ErrorsNameTheKey) {
  Config config;
  const auto message = [&](std::string_view key, std::string_view text) {
    const auto done = set(config, key, text);
    return done ? std::string("none") : done.error().message;
  };
  EXPECT_EQ(message("mtu", "12"), "mtu: '12' is not a number from 1280 to 65535");
  EXPECT_EQ(message("sokcs", "x"), "there is no key 'sokcs'; is 'socks' meant?");
  EXPECT_EQ(message("zzzzzzzz", "x"), "there is no key 'zzzzzzzz'");
  EXPECT_EQ(message("host_key_policy", "strict"), "none");
  EXPECT_EQ(config.ssh.login.host_keys, ssh::HostKeyPolicy::strict);
  EXPECT_EQ(message("log-file", "a\nb"), "log-file: it has control characters in it");
  EXPECT_EQ(message("private-key", "-----BEGIN"), "private-key: not a private key");
  EXPECT_EQ(
      message("private-key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
      "private-key: damaged, or of a kind that is not supported");
  EXPECT_EQ(
      message("known-host", "host ssh-ed25519 AAAA"),
      "known-host: it is no line of a known_hosts file: the key is not of the type that stands "
      "before it");
  EXPECT_EQ(
      message("known-host", "# a comment"),
      "known-host: it is no line of a known_hosts file: the key is not base64");
}

TEST(Schema, NoJumpIsSomethingElseThanNotSaid) {
  Config config;
  EXPECT_FALSE(config.ssh.jump);
  ASSERT_TRUE(set(config, "jump", "none"));
  ASSERT_TRUE(config.ssh.jump);
  EXPECT_TRUE(config.ssh.jump->empty());
  EXPECT_TRUE(parse_toml(print_toml(config), "printed")->ssh.jump);
  ASSERT_TRUE(set(config, "proxy-command", "none"));
  EXPECT_EQ(config.ssh.proxy_command, "");
}

}  // namespace
}  // namespace tunproxy
