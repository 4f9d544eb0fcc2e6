// A SOCKS5 server over TLS as the way out.
#include "core/socks5_way_out.h"

#include <gmock/gmock.h>

#include <optional>

#include "core/socks5/server.h"
#include "core/tls/handshake.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/socks5/fake_proxy.h"
#include "tests/unit/tls/certificates.h"

namespace tunproxy {
namespace {

using ::testing::HasSubstr;
using testing::run_until;

const Endpoint kLoopback{*IpAddress::parse("127.0.0.1"), 0};

class Socks5WayOutTest : public ::testing::Test {
 protected:
  Socks5WayOutTest() {
    serve(files_.server());
    config_.socks5.tls = true;
    config_.socks5.server = Target(server_->local());
    config_.socks5.ca = files_.pem("ca");
    config_.udp = UdpCarrier::none;
  }

  void serve(const tls::ServerOptions& options) {
    auto context = tls::ServerContext::create(options);
    ASSERT_TRUE(context) << context.error().message;
    context_ = *context;
    if (server_) return;  // it takes the new one
    socks5::ServerOptions server_options;
    server_options.secure = [this](auto stream, auto done) {
      return tls::accept(loop_, std::move(stream), context_, std::move(done));
    };
    auto server = socks5::Server::listen(loop_, kLoopback, proxy_, server_options);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  /// The error of the start; "" if it went well.
  std::string start() {
    std::optional<Result<void>> outcome;
    out_.start([&](Result<void> started) { outcome = std::move(started); });
    EXPECT_TRUE(run_until(loop_, [&] { return outcome.has_value(); }));
    if (!*outcome) code_ = outcome->error().code;
    return *outcome ? "" : outcome->error().message;
  }
  std::string connect() {
    std::optional<std::string> outcome;
    const size_t index = proxy_.calls.size();
    const auto attempt =
        out_.streams().connect(Target::from_host("example.com", 443), [&](auto result) {
          outcome = result ? "" : result.error().message;
          if (result) streams_.push_back(std::move(*result));
        });
    EXPECT_TRUE(run_until(loop_, [&] { return outcome || proxy_.calls.size() > index; }));
    if (!outcome) targets_.push_back(proxy_.succeed(index));
    EXPECT_TRUE(run_until(loop_, [&] { return outcome.has_value(); }));
    return outcome.value_or("nothing came of it");
  }
  void show(const char* certificate) {
    config_.socks5.certificate = files_.pem(certificate);
    config_.socks5.key = files_.key(certificate);
  }
  tls::ServerOptions mutual() {
    auto options = files_.server();
    options.client_ca = files_.pem("ca");
    return options;
  }

  testing::Certificates files_;
  io::Loop loop_;
  testing::FakeProxy proxy_{loop_};
  std::shared_ptr<tls::ServerContext> context_;
  std::unique_ptr<socks5::Server> server_;
  Config config_;
  const Platform platform_;
  std::optional<ErrorCode> code_;
  Socks5WayOut out_{loop_, config_, platform_};
  std::vector<std::unique_ptr<net::Stream>> streams_;
  std::vector<std::unique_ptr<testing::MemoryStream>> targets_;
};

TEST_F(Socks5WayOutTest, SpeaksTlsWithTheServer) {
  EXPECT_EQ(start(), "");
  EXPECT_EQ(connect(), "");
}

TEST_F(Socks5WayOutTest, SaysThatTheServerWantsACertificate) {
  serve(mutual());
  EXPECT_THAT(start(), HasSubstr("TLS: the server wants a client certificate, and we have none"));
  EXPECT_EQ(code_, ErrorCode::authentication_failed);
}

TEST_F(Socks5WayOutTest, ShowsACertificateToAServerThatWantsOne) {
  files_.make("client", "ca", "DNS:client.example");
  serve(mutual());
  show("client");
  EXPECT_EQ(start(), "");
  EXPECT_EQ(connect(), "");
}

TEST_F(Socks5WayOutTest, SaysWhatIsWrongWithTheServersCertificate) {
  config_.socks5.name = "elsewhere.example";
  EXPECT_THAT(start(), HasSubstr("the certificate of elsewhere.example is for another name"));
}

TEST_F(Socks5WayOutTest, AFileThatIsNoneIsAnError) {
  config_.socks5.ca = files_.path("missing");
  EXPECT_THAT(start(), HasSubstr("missing: No such file"));
  EXPECT_EQ(code_, ErrorCode::usage);
}

TEST_F(Socks5WayOutTest, ReadsItsCertificatesAgain) {
  files_.make("client", "ca", "DNS:client.example");
  show("client");
  serve(mutual());
  ASSERT_EQ(start(), "");
  testing::write_file(files_.pem("client"), "no certificate");
  const auto bad = out_.reload();
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message, HasSubstr("stay as they were: TLS: " + files_.pem("client")));
  EXPECT_EQ(connect(), "");

  // An authority for everything anew.
  files_.make_authority("ca");
  files_.make("server", "ca", "IP:127.0.0.1");
  files_.make("client", "ca", "DNS:client.example");
  serve(mutual());
  EXPECT_THAT(connect(), HasSubstr("not trusted here"));
  ASSERT_TRUE(out_.reload());
  EXPECT_EQ(connect(), "");
}

}  // namespace
}  // namespace tunproxy
