#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/control/control_server.h"
#include "core/control/report.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::control {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class FixedSource final : public StatusSource {
 public:
  TunnelStatus status() const override {
    TunnelStatus status;
    status.state = "online";
    status.server = "SSH me@server:22";
    status.ways_in = {"TUN"};
    status.carrier = "relay";
    status.sessions = {{"streams", "online", 2, 10, 20, 5}, {"datagrams", "lost", 0, 0, 0, -1}};
    status.drops = {{"tun/malformed", 3}};
    status.replies = {{"2", 4}};
    status.listener = {{"connections", {{"late", 5}}}, {"languages", {{"http", 6}}}};
    status.access_log_lost = 7;
    status.memory_used = 8;
    status.memory_cap = 1000;
    status.udp_associations = 12;
    status.udp = {{"opened", 30}};
    return status;
  }
};

class Control : public ::testing::Test {
 protected:
  Control() : folder_(::testing::TempDir() + "control_test." + std::to_string(::getpid())) {
    fs::remove_all(folder_);
  }
  ~Control() override { fs::remove_all(folder_); }

  account::Account::Entry begin(const std::string& host) {
    auto entry = account_.begin(account::Source::socks, account::Command::connect,
                                Target::from_host(host, 443), "alice");
    entry.decide(rules::Action::tunnel, "line 1");
    return entry;
  }
  json reply(const std::string& line) {
    return json::parse(control_reply(line, source_, account_, loop_.now()));
  }
  std::string path() const { return folder_ + "/control.sock"; }
  Result<std::unique_ptr<ControlServer>> listen() {
    return ControlServer::listen(loop_, path(), source_, account_);
  }
  // Sends and reads until `enough` or the end, while the loop runs.
  std::string talk(int fd, const std::string& text, const std::string& enough) {
    EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
    std::string all;
    bool ended = false;
    testing::run_until(loop_, [&] {
      loop_.post([] {});
      char some[4096];
      const ssize_t n = ::recv(fd, some, sizeof some, MSG_DONTWAIT);
      if (n > 0) all.append(some, static_cast<size_t>(n));
      ended = n == 0;
      return ended || (!enough.empty() && all.find(enough) != std::string::npos);
    });
    return all;
  }

  const std::string folder_;
  io::Loop loop_;
  account::Account account_{loop_};
  FixedSource source_;
};

TEST_F(Control, TheStatusHidesHostsUnlessAsked) {
  auto entry = begin("secret.example");
  const json hidden = reply(R"({"command":"status"})");
  EXPECT_EQ(hidden.dump().find("secret"), std::string::npos);
  EXPECT_EQ(hidden["flows"].size(), 1U);
  EXPECT_FALSE(hidden["flows"][0].contains("port"));
  EXPECT_EQ(hidden["tunnel"]["server"], "SSH me@server:22");
  EXPECT_EQ(hidden["tunnel"]["sessions"][0]["rtt_ms"], 5);
  EXPECT_TRUE(hidden["tunnel"]["sessions"][1]["rtt_ms"].is_null());
  EXPECT_EQ(hidden["tunnel"]["drops"]["tun/malformed"], 3);
  EXPECT_EQ(hidden["tunnel"]["udp"]["associations"], 12);
  EXPECT_EQ(hidden["tunnel"]["udp"]["opened"], 30);
  EXPECT_EQ(hidden["totals"]["ways"]["tunnel"]["flows"], 1);
  EXPECT_EQ(hidden["totals"]["rules"]["line 1"], 1);
  const json shown = reply(R"({"command":"status","show_hosts":true})");
  EXPECT_EQ(shown["flows"][0]["host"], "secret.example");
  EXPECT_EQ(shown["flows"][0]["port"], 443);
  EXPECT_EQ(shown["flows"][0]["user"], "alice");
}

TEST_F(Control, AFlowIsToldWithAllThatIsKnownOfIt) {
  auto entry = begin("a.example");
  entry.open();
  entry.flow().up = 7;
  entry.flow().down = 8;
  entry.flow().carrier = "relay";
  const json open = reply(R"({"command":"status","show_hosts":true})")["flows"][0];
  EXPECT_EQ(open["id"], 1);
  EXPECT_EQ(open["source"], "socks");
  EXPECT_EQ(open["command"], "connect");
  EXPECT_EQ(open["protocol"], "tcp");
  EXPECT_EQ(open["state"], "open");
  EXPECT_EQ(open["way"], "tunnel");
  EXPECT_EQ(open["carrier"], "relay");
  EXPECT_EQ(open["started"].get<std::string>().size(),
            std::string("2026-11-21T01:02:03.456Z").size());
  EXPECT_EQ(open["up"], 7);
  EXPECT_EQ(open["down"], 8);
  EXPECT_FALSE(open.contains("end"));
  entry.end({false, ErrorCode::reset});
  const json status = reply(R"({"command":"status"})");
  EXPECT_TRUE(status["flows"].empty());
  ASSERT_EQ(status["ended"].size(), 1U);
  EXPECT_EQ(status["ended"][0]["state"], "ended");
  EXPECT_EQ(status["ended"][0]["end"], "reset");
  EXPECT_EQ(status["ended"][0]["up"], 7);
  EXPECT_FALSE(status["ended"][0].contains("host"));
  EXPECT_EQ(status["totals"]["failed"]["reset"], 1);
}

TEST_F(Control, WhatIsCountedIsTold) {
  account_.carrier("udpgw") = {1, 2, 3, 4, 5};
  const json status = reply(R"({"command":"status"})");
  EXPECT_EQ(status["totals"]["carriers"]["udpgw"]["datagrams_down"], 3);
  EXPECT_EQ(status["totals"]["carriers"]["udpgw"]["up"], 4);
  EXPECT_EQ(status["tunnel"]["listener"]["connections"]["late"], 5);
  EXPECT_EQ(status["tunnel"]["access_log_lost"], 7);
  EXPECT_EQ(status["tunnel"]["memory"]["cap"], 1000);
}

TEST_F(Control, TheNewestFlowsAreShownAndAllAreCounted) {
  std::vector<account::Account::Entry> entries;
  for (int i = 0; i < 5; ++i) entries.push_back(begin("h" + std::to_string(i)));
  const json some = reply(R"({"command":"status","max_flows":2})");
  ASSERT_EQ(some["flows"].size(), 2U);
  EXPECT_EQ(some["flows"][0]["id"], 4);
  EXPECT_EQ(some["totals"]["flows"], 5);
}

TEST_F(Control, WhatIsNoRequestGetsAnError) {
  for (const char* line : {"", "x", "[]", "{}", R"({"command":"reload"})", R"({"command":1})",
                           "{\"command\":\"\xff\"}"}) {
    EXPECT_TRUE(reply(line).contains("error")) << line;
  }
  EXPECT_FALSE(
      reply(R"({"command":"status","show_hosts":"yes","max_flows":-1})").contains("error"));
}

TEST_F(Control, TheSocketAnswersOneLineEach) {
  const mode_t former = ::umask(0);  // whatever it is
  auto server = listen();
  ::umask(former);
  ASSERT_TRUE(server) << server.error().message;
  struct stat status {};
  ASSERT_EQ(::lstat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  ASSERT_EQ(::stat(folder_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
  auto client = connect_unix(path());
  ASSERT_TRUE(client);
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(talk(client->get(), "{\"command\":\"status\"}\n", "\n").find("\"online\""),
              std::string::npos);
  }
  server->reset();
  EXPECT_FALSE(fs::exists(folder_));
}

TEST_F(Control, ClientsComeAndGoAtAnyTime) {
  auto server = listen();
  ASSERT_TRUE(server);
  for (int i = 0; i < 50; ++i) {
    auto client = connect_unix(path());
    ASSERT_TRUE(client);
    const std::string text = i % 2 == 0 ? "{\"command\":\"status\"}\n" : "x";
    ASSERT_EQ(::send(client->get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
    if (i % 3 == 0) ::shutdown(client->get(), SHUT_WR);
    client->reset();
    loop_.run_once(false);
  }
  auto client = connect_unix(path());
  ASSERT_TRUE(client);
  EXPECT_NE(talk(client->get(), "{\"command\":\"status\"}\n", "\n"), "");
}

TEST_F(Control, OneThatSaysTooMuchIsClosed) {
  auto server = listen();
  ASSERT_TRUE(server);
  auto client = connect_unix(path());
  ASSERT_TRUE(client);
  EXPECT_EQ(talk(client->get(), std::string(LineServer::kMaxRequest + 1, 'x'), ""), "");
}

TEST_F(Control, ALeftoverSocketIsReplacedAndALiveOneIsNot) {
  auto first = listen();
  ASSERT_TRUE(first);
  const auto second = listen();
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("another tunproxy"), std::string::npos);
  fs::rename(path(), path() + ".kept");
  first->reset();  // its file is elsewhere now: a stale one
  fs::rename(path() + ".kept", path());
  auto third = listen();
  ASSERT_TRUE(third) << third.error().message;
  third->reset();
  std::ofstream(path()) << "not a socket";
  const auto fourth = listen();
  ASSERT_FALSE(fourth);
  EXPECT_TRUE(fs::exists(path()));
  EXPECT_FALSE(ControlServer::listen(loop_, folder_ + std::string(200, 'x'), source_, account_));
}

TEST_F(Control, MetricsAreText) {
  auto entry = begin("secret.example");
  entry.flow().up = 7;
  account_.drop(account::Drop::denied);
  account_.carrier("relay") = {1, 2, 0, 0, 3};
  const std::string text = metrics_text(source_.status(), account_);
  for (const char* line : {"# TYPE tunproxy_up gauge",
                           "tunproxy_up 1\n",
                           "tunproxy_flows 1\n",
                           "tunproxy_bytes_total{way=\"tunnel\",direction=\"up\"} 7",
                           "tunproxy_flows_started_total{source=\"socks\",command=\"connect\"} 1",
                           "tunproxy_rule_matches_total{rule=\"line 1\"} 1",
                           "tunproxy_drops_total{reason=\"rules/denied\"} 1",
                           "tunproxy_drops_total{reason=\"tun/malformed\"} 3",
                           "tunproxy_socks_replies_total{code=\"2\"} 4",
                           "tunproxy_session_online{session=\"datagrams\"} 0",
                           "tunproxy_listener_connections_total{kind=\"late\"} 5",
                           "tunproxy_listener_languages_total{kind=\"http\"} 6",
                           "tunproxy_access_log_lost_total 7",
                           "tunproxy_memory_bytes 8",
                           "tunproxy_carrier_flows_total{carrier=\"relay\"} 1",
                           "tunproxy_carrier_datagrams_total{carrier=\"relay\",direction=\"up\"} 2",
                           "tunproxy_carrier_bytes_total{carrier=\"relay\",direction=\"down\"} 3",
                           "# TYPE tunproxy_udp_associations gauge",
                           "tunproxy_udp_associations 12\n",
                           "tunproxy_udp_total{event=\"opened\"} 30"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
  EXPECT_EQ(text.find("secret"), std::string::npos);
}

TEST_F(Control, MetricsAreServedOverHttpToThisMachine) {
  EXPECT_FALSE(MetricsServer::listen(loop_, Endpoint{}, source_, account_));
  auto server =
      MetricsServer::listen(loop_, {*IpAddress::parse("127.0.0.1"), 0}, source_, account_);
  ASSERT_TRUE(server) << server.error().message;
  const auto ask = [&](const std::string& request) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage to{};
    const unsigned length = (*server)->local().to_sockaddr(&to);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), length), 0);
    return talk(fd.get(), request, "");
  };
  const std::string answer = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(answer.find("HTTP/1.1 200 OK\r\n"), 0U);
  EXPECT_NE(answer.find("version=0.0.4"), std::string::npos);
  EXPECT_NE(answer.find("\ntunproxy_up 1\n"), std::string::npos);
  EXPECT_EQ(ask("GET / HTTP/1.0\r\n\r\n").find("HTTP/1.1 404"), 0U);
  EXPECT_EQ(ask("POST /metrics HTTP/1.0\r\n\r\n").find("HTTP/1.1 405"), 0U);
  const std::string head = ask("HEAD /metrics HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
  EXPECT_EQ(ask("\r\n\r\n").find("HTTP/1.1 405"), 0U);
  EXPECT_EQ(ask(std::string(LineServer::kMaxRequest, 'x')), "");
}

}  // namespace
}  // namespace tunproxy::control
