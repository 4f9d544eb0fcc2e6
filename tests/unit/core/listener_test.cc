// The listener as a tunnel has it: with certificates, users and their reload.
#include "core/listener.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <optional>

#include "core/account/account.h"
#include "core/base/log.h"
#include "core/socks5/client.h"
#include "core/tls/handshake.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/core/fake_way_out.h"
#include "tests/unit/tls/certificates.h"

namespace tunproxy {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using testing::run_until;

const Endpoint kLoopback{*IpAddress::parse("127.0.0.1"), 0};
const Target kTarget = Target::from_host("example.com", 443);

class ListenerTest : public ::testing::Test {
 protected:
  ListenerTest() {
    settings_.tls.certificate = files_.pem("server");
    settings_.tls.key = files_.key("server");
    sink_->write = [this](log::Level, std::string_view line) { lines_.emplace_back(line); };
    use_sink_.emplace(sink_);
  }

  void open() {
    auto listener = Listener::open(loop_, kLoopback, settings_, {keeper_, out_, nullptr});
    ASSERT_TRUE(listener) << listener.error().message;
    listener_ = std::move(*listener);
  }
  /// What becomes of a CONNECT by a client of SOCKS5 over TLS: "" if it reaches its target.
  std::string connect(const tls::ClientOptions& options, socks5::NegotiateOptions who = {}) {
    auto context = tls::ClientContext::create(options);
    if (!context) return context.error().message;
    socks5::ClientOptions client_options;
    client_options.negotiate = std::move(who);
    client_options.secure = [&](auto stream, auto done) {
      return tls::connect(loop_, std::move(stream), *context, std::move(done));
    };
    socks5::Client client(loop_, listener_->local(), client_options);
    std::optional<std::string> outcome;
    const size_t index = out_.proxy.calls.size();
    const auto attempt = client.connect(kTarget, [&](auto result) {
      outcome = result ? "" : result.error().message;
      if (result) stream_ = std::move(*result);
    });
    EXPECT_TRUE(run_until(loop_, [&] { return outcome || out_.proxy.calls.size() > index; }));
    if (!outcome) target_ = out_.proxy.succeed(index);
    EXPECT_TRUE(run_until(loop_, [&] { return outcome.has_value(); }));
    return outcome.value_or("nothing came of it");
  }
  bool logged(const std::string& part) {
    return run_until(loop_, [&] {
      return std::any_of(lines_.begin(), lines_.end(),
                         [&](const auto& line) { return line.find(part) != line.npos; });
    });
  }
  static socks5::NegotiateOptions as(const char* user, const char* password) {
    socks5::NegotiateOptions options;
    options.account = socks5::Account{user, Secret(password)};
    return options;
  }

  testing::Certificates files_;
  io::Loop loop_;
  account::Account account_{loop_};
  gate::Gatekeeper keeper_{loop_, account_};
  testing::FakeWayOut out_{loop_};
  std::vector<std::string> lines_;
  std::shared_ptr<log::Sink> sink_ = std::make_shared<log::Sink>();
  std::optional<log::UseSink> use_sink_;
  ListenerSettings settings_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<testing::MemoryStream> target_;
  std::unique_ptr<net::Stream> stream_;
};

TEST_F(ListenerTest, CarriesAFlowOverTls) {
  open();
  EXPECT_EQ(connect(files_.client()), "");
  EXPECT_EQ(out_.proxy.calls[0].target, kTarget);
  target_->write(as_bytes("hello"));
  EXPECT_TRUE(run_until(loop_, [&] { return as_text(stream_->peek()) == "hello"; }));
}

TEST_F(ListenerTest, WhoeverRunsItHearsWhyAClientIsRefusedAndSoDoesTheClient) {
  settings_.tls.client_ca = files_.pem("ca");
  open();
  EXPECT_THAT(connect(files_.client()), HasSubstr("the server wants a client certificate"));
  EXPECT_TRUE(logged("a client at 127.0.0.1 is refused: TLS: the client showed no certificate"));
  files_.make_authority("stranger");
  files_.make("client", "stranger", "DNS:client.example");
  auto foreign = files_.client();
  foreign.cert = files_.pem("client");
  foreign.key = files_.key("client");
  EXPECT_THAT(connect(foreign), HasSubstr("does not trust the authority of our certificate"));
  EXPECT_TRUE(logged("the client's certificate is by an authority that is not trusted here"));
  foreign = files_.client();
  foreign.ca = files_.pem("stranger");
  EXPECT_THAT(connect(foreign), HasSubstr("is by an authority that is not trusted here"));
  EXPECT_TRUE(logged("the peer does not trust the authority of our certificate"));
  EXPECT_TRUE(out_.proxy.calls.empty());
  files_.make("client", "ca", "DNS:client.example");
  auto friendly = files_.client();
  friendly.cert = files_.pem("client");
  friendly.key = files_.key("client");
  EXPECT_EQ(connect(friendly), "");
}

TEST_F(ListenerTest, AClientInClearIsToldToUseTls) {
  open();
  socks5::Client client(loop_, listener_->local());
  std::optional<Error> outcome;
  const auto attempt = client.connect(kTarget, [&](auto result) { outcome = result.error(); });
  ASSERT_TRUE(run_until(loop_, [&] { return outcome.has_value(); }));
  EXPECT_TRUE(logged("TLS: this is a SOCKS client without TLS at a port for TLS"));
}

TEST_F(ListenerTest, NewCertificatesAreForNewClients) {
  open();
  ASSERT_EQ(connect(files_.client()), "");
  const auto old_target = std::move(target_);
  const auto old_stream = std::move(stream_);
  files_.make_authority("next");
  files_.make("server", "next", "DNS:server.example");
  ASSERT_TRUE(listener_->reload());
  EXPECT_THAT(connect(files_.client()), HasSubstr("authority that is not trusted here"));
  auto next = files_.client();
  next.ca = files_.pem("next");
  EXPECT_EQ(connect(next), "");
  old_target->write(as_bytes("old ones go on"));
  EXPECT_TRUE(run_until(loop_, [&] { return as_text(old_stream->peek()) == "old ones go on"; }));
}

TEST_F(ListenerTest, ABadFileChangesNeitherUsersNorCertificates) {
  const std::string password = files_.path("password");
  testing::write_file(password, "first\n");
  settings_.users = {{"anna", password}};
  open();
  ASSERT_EQ(connect(files_.client(), as("anna", "first")), "");
  testing::write_file(password, "second\n");
  testing::write_file(files_.pem("server"), "no certificate");
  const auto bad = listener_->reload();
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::usage);
  EXPECT_THAT(bad.error().message, HasSubstr("stay as they were: TLS: " + files_.pem("server")));
  EXPECT_EQ(connect(files_.client(), as("anna", "first")), "");
  files_.make("server", "ca", "DNS:server.example");
  ASSERT_TRUE(listener_->reload());
  EXPECT_THAT(connect(files_.client(), as("anna", "first")), HasSubstr("refuses the user"));
  EXPECT_EQ(connect(files_.client(), as("anna", "second")), "");
}

TEST_F(ListenerTest, UsersHaveConnectionsOfTheirOwnIfTheyAreToBeIsolated) {
  const std::string password = files_.path("password");
  testing::write_file(password, "secret\n");
  settings_.users = {{"anna", password}, {"bob", password}};
  settings_.isolation = Isolation::user;
  open();
  ASSERT_EQ(connect(files_.client(), as("anna", "secret")), "");
  ASSERT_EQ(connect(files_.client(), as("bob", "secret")), "");
  EXPECT_EQ(out_.groups, (std::vector<std::string>{"anna", "bob"}));
}

}  // namespace
}  // namespace tunproxy
