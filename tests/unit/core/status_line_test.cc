#include "core/status_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/log.h"
#include "tests/unit/socks5/fake_datagrams.h"

namespace tunproxy {
namespace {

using ::testing::HasSubstr;

const std::vector<Endpoint> kNone;
const std::vector<Endpoint> kOne = {*Endpoint::parse("10.0.0.53:53")};
const std::vector<Endpoint> kOdd = {*Endpoint::parse("10.0.0.53:5300"),
                                    *Endpoint::parse("10.0.0.54:53")};

Config by_ssh() {
  Config config;
  config.ssh.server = SshServer{"me", *Target::parse("server:22")};
  return config;
}

Config by_socks5() {
  Config config;
  config.socks5.server = *Target::parse("proxy:1080");
  return config;
}

TEST(StatusLine, NamesOverSsh) {
  Config config = by_ssh();
  EXPECT_EQ(names_text(config, kNone, false), "by the server's resolver");
  EXPECT_EQ(names_text(config, kOne, false), "by the server's resolver (10.0.0.53)");
  EXPECT_EQ(names_text(config, kOne, true), "by the server's resolver (10.0.0.53) over TCP");
  config.dns.resolver = kOdd.front();
  EXPECT_EQ(names_text(config, {kOdd.front()}, true), "by 10.0.0.53:5300 over TCP");
  config.dns = {std::nullopt, true};
  EXPECT_EQ(names_text(config, kOne, false),
            "by the server as it connects to them; other questions by the server's resolver "
            "(10.0.0.53)");
}

TEST(StatusLine, NamesThroughASocks5Server) {
  Config config = by_socks5();
  EXPECT_EQ(names_text(config, kNone, true), "by the SOCKS5 server as it connects to them");
  EXPECT_EQ(names_text(config, kOdd, false),
            "by the SOCKS5 server as it connects to them; other questions by 10.0.0.53:5300, "
            "10.0.0.54");
  config.dns.resolver = kOne.front();
  EXPECT_EQ(names_text(config, kOne, true), "by 10.0.0.53 over TCP");
}

TEST(StatusLine, WithoutACarrierTheOptionIsNamed) {
  EXPECT_THAT(udp_text(nullptr), HasSubstr("--udp none"));
  Config config = by_socks5();
  EXPECT_EQ(udp_text(nullptr, config), kNoConnectionYet);
  config.socks5.tls = true;
  EXPECT_THAT(udp_text(nullptr, config), HasSubstr("--socks5-clear-udp"));
  config.udp = UdpCarrier::none;
  EXPECT_THAT(udp_text(nullptr, config), HasSubstr("--udp none"));
}

TEST(StatusLine, OfASocks5ServerWhatItTurnedOutToDo) {
  io::Loop loop;
  testing::FakeDatagrams server(loop);
  server.at_once = false;
  udp::WatchedProxy watched(loop, server);
  watched.probe();
  EXPECT_EQ(udp_text(&watched, by_socks5()), "the SOCKS5 server is asked whether it carries it");
  server.fail(0, ErrorCode::timed_out);
  EXPECT_THAT(udp_text(&watched, by_socks5()),
              HasSubstr("as the test wants it; the next program asks again"));
  watched.probe();
  server.fail(1, ErrorCode::command_not_supported);
  EXPECT_THAT(udp_text(&watched, by_socks5()), HasSubstr("not carried"));
  EXPECT_THAT(udp_text(&watched, by_socks5()), HasSubstr("as the test wants it"));
  watched.probe();
  server.open(*server.all[2]);
  EXPECT_THAT(udp_text(&watched, by_socks5()), HasSubstr("carried by the SOCKS5 server's relay"));
}

TEST(StatusLine, IsToldOnChangeOnlyAndLoudlyWhereNothingIsCarried) {
  auto sink = std::make_shared<log::Sink>();
  std::vector<std::pair<log::Level, std::string>> lines;
  sink->level = log::Level::info;
  sink->write = [&](log::Level level, std::string_view line) { lines.emplace_back(level, line); };
  const log::UseSink use(sink);
  StatusLine line;
  line.tell("carried", "by 10.0.0.53", true);
  line.tell("carried", "by 10.0.0.53", true);
  line.tell("not carried", "by 10.0.0.53 over TCP", false);
  line.tell("carried", "by 10.0.0.53", true);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].second, "UDP: carried; names: by 10.0.0.53");
  EXPECT_EQ(lines[0].first, log::Level::info);
  EXPECT_EQ(lines[1].first, log::Level::warn);
}

}  // namespace
}  // namespace tunproxy
