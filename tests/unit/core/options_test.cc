#include "tools/tunproxy/options.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "core/config_schema.h"

namespace tunproxy::cli {
namespace {

Result<Invocation> parse_line(const std::string& line) {
  std::istringstream words(line);
  std::vector<std::string> arguments;
  for (std::string word; words >> word;) arguments.push_back(word);
  return parse(std::move(arguments));
}

TEST(Options, DefaultsAreTheDocumentedOnes) {
  const auto invocation = parse_line("--ssh host");
  ASSERT_TRUE(invocation) << invocation.error().message;
  const Config& config = invocation->config;
  EXPECT_EQ(invocation->action, Invocation::Action::run);
  EXPECT_EQ(config.ssh.server->user, "");
  EXPECT_EQ(config.ssh.server->server.to_string(), "host:0");
  EXPECT_TRUE(config.tun);
  EXPECT_EQ(config.mtu, 1500);
  EXPECT_FALSE(config.listener.at);
  EXPECT_FALSE(config.ssh.login.host_keys);
  EXPECT_TRUE(config.routes.empty());
  EXPECT_FALSE(config.dns.resolver);
  EXPECT_FALSE(config.dns.fake);
  EXPECT_EQ(config.udp, UdpCarrier::automatic);
  EXPECT_EQ(config.udp_associations, 100U);
  EXPECT_EQ(config.udp_idle, 120U);
  EXPECT_EQ(config.most_sessions(), 4U);
}

TEST(Options, NamesAreResolvedByWhomTheUserSays) {
  const auto server = parse_line("--ssh host --dns server");
  ASSERT_TRUE(server);
  EXPECT_FALSE(server->config.dns.resolver);
  EXPECT_FALSE(server->config.dns.fake);
  const auto fake = parse_line("--ssh host --dns fake");
  ASSERT_TRUE(fake);
  EXPECT_FALSE(fake->config.dns.resolver);
  EXPECT_TRUE(fake->config.dns.fake);
  EXPECT_EQ(parse_line("--ssh host --dns [2001:db8::53]:5353")->config.dns.resolver->to_string(),
            "[2001:db8::53]:5353");
}

TEST(Options, FakeAddressesGoThroughTheTunnelWhateverTheRoutes) {
  const auto blocks = [](const std::string& line) {
    std::vector<std::string> texts;
    for (const Cidr& block : parse_line(line)->config.tunnelled()) {
      texts.push_back(block.to_string());
    }
    return texts;
  };
  EXPECT_TRUE(blocks("--ssh host --dns fake").empty());  // everything
  EXPECT_EQ(blocks("--ssh host --route 10.0.0.0/8"), std::vector<std::string>{"10.0.0.0/8"});
  EXPECT_EQ(blocks("--ssh host --dns fake --route 10.0.0.0/8"),
            (std::vector<std::string>{"10.0.0.0/8", "198.19.0.0/16", "fd74:756e:666b::/64"}));
}

TEST(Options, EverythingArrives) {
  const auto invocation = parse_line(
      "--ssh you@host --port 2222 --identity a --identity b --known-hosts k --host-key-policy "
      "accept-new --tun t0 --mtu 9000 --route 10.0.0.0/8 --route 2001:db8::/32 --exclude "
      "10.1.0.0/16 "
      "--socks 127.0.0.1:1080 --udp none --udp-associations 7 --udp-idle 30 --dns 192.0.2.53 "
      "--log-level debug --log-file f");
  ASSERT_TRUE(invocation) << invocation.error().message;
  const Config& config = invocation->config;
  EXPECT_EQ(config.ssh.server->user, "you");
  EXPECT_EQ(config.ssh.port, 2222);
  EXPECT_EQ(config.ssh.login.identities, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(config.ssh.login.known_hosts, std::vector<std::string>{"k"});
  EXPECT_EQ(config.ssh.login.host_keys, ssh::HostKeyPolicy::accept_new);
  EXPECT_EQ(config.tun_name, "t0");
  EXPECT_EQ(config.mtu, 9000);
  ASSERT_EQ(config.routes.size(), 2U);
  EXPECT_EQ(config.routes[1].to_string(), "2001:db8::/32");
  EXPECT_EQ(config.excluded[0].to_string(), "10.1.0.0/16");
  EXPECT_EQ(config.listener.at->to_string(), "127.0.0.1:1080");
  EXPECT_EQ(config.udp, UdpCarrier::none);
  EXPECT_EQ(config.udp_associations, 7U);
  EXPECT_EQ(config.udp_idle, 30U);
  EXPECT_EQ(config.dns.resolver->to_string(), "192.0.2.53:53");
  EXPECT_FALSE(config.dns.fake);
  EXPECT_EQ(config.log_level, log::Level::debug);
  EXPECT_EQ(config.log_file, "f");
}

TEST(Options, AUdpgwIsNamedAsTheServerSeesIt) {
  const auto config = parse_line("--ssh host --udp udpgw --udpgw gw.example:7400")->config;
  EXPECT_EQ(config.udp, UdpCarrier::udpgw);
  EXPECT_EQ(config.udpgw->to_string(), "gw.example:7400");
  EXPECT_EQ(parse_line("--ssh host --udpgw ::1")->config.udpgw->to_string(), "[::1]:7300");
  EXPECT_FALSE(parse_line("--ssh host")->config.udpgw);
}

TEST(Options, WhatTlsNeedsIsTaken) {
  const auto listener = parse_line(
      "--ssh a --socks 127.0.0.1:1 --socks-tls c:k --socks-client-ca a "
      "--socks-tls-minimum 1.3");
  ASSERT_TRUE(listener) << listener.error().message;
  EXPECT_EQ(listener->config.listener.tls.client_ca, "a");
  EXPECT_EQ(listener->config.listener.tls.minimum, TlsVersion::tls1_3);
  const auto upstream = parse_line(
      "--socks5 tls://b --socks5-ca a --socks5-name n --socks5-cert c "
      "--socks5-key k");
  ASSERT_TRUE(upstream) << upstream.error().message;
  EXPECT_EQ(upstream->config.socks5.name, "n");
}

TEST(Options, WhatTlsNeedsIsMissedInAFileToo) {
  const std::string file = ::testing::TempDir() + "options_tls.toml." + std::to_string(::getpid());
  std::ofstream(file) << "ssh = 'a'\nsocks = '0.0.0.0:1080'\nsocks-open = true\n"
                         "socks-client-ca = 'ca.pem'\n";
  const auto parsed = parse_line("--config " + file);
  ::unlink(file.c_str());
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.error().message.find("needs --socks-tls"), std::string::npos);
}

TEST(Options, AnUpstreamThatIsNotUsedNeedsNothing) {
  const std::string file = ::testing::TempDir() + "options_up.toml." + std::to_string(::getpid());
  std::ofstream(file) << "socks5 = 'tls://proxy'\nsocks5-ca = 'ca.pem'\n";
  const auto ssh = parse_line("--config " + file + " --ssh a");
  const auto clear = parse_line("--config " + file + " --socks5 proxy");
  ::unlink(file.c_str());
  EXPECT_TRUE(ssh) << ssh.error().message;
  EXPECT_FALSE(clear);
}

TEST(Options, WhatIsGivenOverridesTheFile) {
  const std::string file = ::testing::TempDir() + "options_test.toml." + std::to_string(::getpid());
  std::ofstream(file) << "socks5 = 'proxy:1080'\nmtu = 1400\nroute = ['10.0.0.0/8']\n"
                         "no-tun = true\nsocks = '127.0.0.1:1080'\n";
  const auto only_file = parse_line("--config " + file);
  ASSERT_FALSE(only_file);  // a route without a TUN
  const auto both = parse_line("--config " + file +
                               " --ssh you@host --route 192.0.2.0/24 --tun t0 --socks 127.0.0.1:2");
  ASSERT_TRUE(both) << both.error().message;
  const Config& config = both->config;
  EXPECT_EQ(config.ssh.server->user, "you");
  EXPECT_FALSE(config.socks5.server);
  EXPECT_TRUE(config.tun);
  EXPECT_EQ(config.mtu, 1400);
  ASSERT_EQ(config.routes.size(), 1U);
  EXPECT_EQ(config.routes[0].to_string(), "192.0.2.0/24");
  EXPECT_EQ(config.listener.at->port, 2);
  const auto flag = parse_line("--config " + file + " --no-tun=false --socks5 b");
  ASSERT_TRUE(flag) << flag.error().message;
  EXPECT_TRUE(flag->config.tun);
  ::unlink(file.c_str());
}

TEST(Options, TheConfigurationCanBeShown) {
  const auto invocation = parse_line("--ssh host --print-config");
  ASSERT_TRUE(invocation);
  EXPECT_EQ(invocation->action, Invocation::Action::print_config);
}

TEST(Options, EveryKeyButSecretsIsAnOption) {
  const std::string help = parse_line("--help")->text;
  for (const Setting& setting : settings()) {
    if (setting.key == "command") continue;
    const bool shown = help.find("--" + std::string(setting.key) + " ") != std::string::npos ||
                       help.find("--" + std::string(setting.key) + "\n") != std::string::npos;
    EXPECT_EQ(shown, !setting.secret) << setting.key;
  }
}

TEST(Options, TheCommandKeepsItsOwnOptions) {
  const auto invocation = parse_line("--ssh host -- curl --socks5 x -- --help");
  ASSERT_TRUE(invocation);
  EXPECT_EQ(invocation->config.command,
            (std::vector<std::string>{"curl", "--socks5", "x", "--", "--help"}));
}

TEST(Options, HelpAndVersionArePrinted) {
  const auto help = parse_line("--help");
  ASSERT_TRUE(help);
  EXPECT_EQ(help->action, Invocation::Action::print);
  for (const char* word : {"--ssh", "--route", "1500", "Exit codes", "--host-key-policy"}) {
    EXPECT_NE(help->text.find(word), std::string::npos) << word;
  }
  EXPECT_NE(parse_line("--version")->text.find("tunproxy "), std::string::npos);
  EXPECT_EQ(parse_line("--restore")->action, Invocation::Action::restore);
}

struct BadLine {
  const char* line;
  const char* said;  // a part of the message, which is one line
};

class BadLines : public ::testing::TestWithParam<BadLine> {};

TEST_P(BadLines, GetOneClearLine) {
  const auto invocation = parse_line(GetParam().line);
  ASSERT_FALSE(invocation) << GetParam().line;
  EXPECT_EQ(invocation.error().code, ErrorCode::usage);
  EXPECT_NE(invocation.error().message.find(GetParam().said), std::string::npos)
      << invocation.error().message;
  EXPECT_EQ(invocation.error().message.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Lines, BadLines,
    ::testing::Values(
        BadLine{"", "--ssh"}, BadLine{"--ssh a --socks5 b", "either"}, BadLine{"--ssh", "--ssh"},
        BadLine{"--nonsense", "--nonsense"}, BadLine{"--ssh a --port 0", "--port"},
        BadLine{"--ssh a --mtu 100", "--mtu"}, BadLine{"--ssh a --mtu x", "--mtu"},
        BadLine{"--ssh a --route 10.0.0.1/8", "--route: '10.0.0.1/8'"},
        BadLine{"--ssh a --exclude z", "--exclude: 'z'"},
        BadLine{"--ssh a --socks 1080", "--socks"},
        BadLine{"--ssh a --socks localhost:1080", "numeric"},
        BadLine{"--ssh a --dns ns.example", "--dns: 'ns.example'"},
        BadLine{"--ssh a --dns fake --no-tun --socks 127.0.0.1:1", "--dns fake"},
        BadLine{"--ssh a --host-key-policy no", "--host-key-policy"},
        BadLine{"--ssh a --log-level loud", "--log-level"},
        BadLine{"--ssh a --udp pigeon", "--udp"}, BadLine{"--ssh a --udpgw x:0", "--udpgw"},
        BadLine{"--ssh a --udp relay --udpgw x", "--udpgw"},
        BadLine{"--socks5 b --udpgw x", "--udpgw"},
        BadLine{"--ssh a --udp-associations 0", "--udp-associations"},
        BadLine{"--ssh a --udp-associations 101", "--udp-associations"},
        BadLine{"--ssh a --no-tun", "--socks"},
        BadLine{"--ssh a --socks 127.0.0.1:1 --isolate user", "--socks-user"},
        BadLine{"--socks5 a --socks 127.0.0.1:1 --isolate destination", "--ssh"},
        BadLine{"--ssh a --no-tun --socks 127.0.0.1:1 --route 10.0.0.0/8", "--no-tun"},
        BadLine{"--ssh a --no-tun --socks 127.0.0.1:1 -- ls", "--no-tun"},
        BadLine{"--ssh a --", "command"}, BadLine{"--socks5 b --identity i", "--ssh"},
        BadLine{"--ssh a --exclude 10.0.0.0/8 -- ls", "--exclude"},
        BadLine{"--ssh a --route 10.0.0.0/8 -- ls", "--route"},
        BadLine{"--ssh a --tun tun7 -- ls", "--tun"},
        BadLine{"--ssh a --profile mobile --socks 127.0.0.1:1080", "--socks-user"},
        BadLine{"--ssh a --socks 127.0.0.1:1 --socks-client-ca c", "needs --socks-tls"},
        BadLine{"--ssh a --socks 127.0.0.1:1 --socks-tls-minimum 1.2", "needs --socks-tls"},
        BadLine{"--socks5 b --socks5-ca c", "--socks5-ca needs --socks5 tls://"},
        BadLine{"--socks5 b --socks5-cert c", "--socks5-cert needs --socks5 tls://"},
        BadLine{"--socks5 b --socks5-key c", "--socks5-key needs --socks5 tls://"},
        BadLine{"--socks5 b --socks5-name c", "--socks5-name needs --socks5 tls://"},
        BadLine{"--socks5 tls://b --socks5-key c", "--socks5-key needs --socks5-cert"},
        BadLine{"--ssh a stray", "stray"}));

}  // namespace
}  // namespace tunproxy::cli
