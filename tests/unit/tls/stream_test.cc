// Both ends are ours, over streams in memory.
#include "core/tls/stream.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <random>

#include "core/tls/handshake.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/ssh/flow.h"
#include "tests/unit/tls/certificates.h"

namespace tunproxy::tls {
namespace {

using testing::Certificates;
using testing::Flow;
using ::testing::HasSubstr;
using testing::Manners;
using testing::MemoryStream;
using testing::run_until;

using Outcome = std::optional<Result<std::unique_ptr<net::Stream>>>;

class TlsStreamTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { files_ = new Certificates; }
  static void TearDownTestSuite() { delete files_; }

  net::Done<std::unique_ptr<net::Stream>> into(Outcome& outcome) {
    return [&outcome](auto result) { outcome = std::move(result); };
  }
  void begin_server(std::unique_ptr<net::Stream> stream, const ServerOptions& options) {
    auto context = ServerContext::create(options);
    ASSERT_TRUE(context) << context.error().message;
    accepting_ = accept(loop_, std::move(stream), *context, into(server_));
  }
  void begin_client(std::unique_ptr<net::Stream> stream, const ClientOptions& options) {
    auto context = ClientContext::create(options);
    ASSERT_TRUE(context) << context.error().message;
    connecting_ = connect(loop_, std::move(stream), *context, into(client_));
  }
  bool settle() {
    return run_until(loop_, [&] { return server_ && client_; });
  }
  void shake_hands(const ServerOptions& server, const ClientOptions& client, Manners manners = {}) {
    server_.reset();
    client_.reset();
    auto [a, b] = MemoryStream::make_pair(loop_, manners);
    begin_server(std::move(a), server);
    begin_client(std::move(b), client);
    ASSERT_TRUE(settle());
  }
  static std::string error_of(const Outcome& outcome) {
    return *outcome ? "" : outcome->error().message;
  }
  Stream& client() { return static_cast<Stream&>(***client_); }
  Stream& server() { return static_cast<Stream&>(***server_); }

  static Certificates* files_;
  io::Loop loop_;
  Outcome server_;
  Outcome client_;
  std::unique_ptr<net::Attempt> accepting_;
  std::unique_ptr<net::Attempt> connecting_;
};

Certificates* TlsStreamTest::files_ = nullptr;

struct MannersCase {
  const char* name;
  Manners manners;
  uint64_t bytes;
};

class TlsManners : public TlsStreamTest, public ::testing::WithParamInterface<MannersCase> {};

TEST_P(TlsManners, CarryEveryByteAndBothEnds) {
  shake_hands(files_->server(), files_->client(), GetParam().manners);
  ASSERT_TRUE(*server_ && *client_) << error_of(server_) << error_of(client_);
  const uint64_t bytes = GetParam().bytes;
  Flow one(std::move(**client_), {1, bytes, 2, bytes / 2, false});
  Flow two(std::move(**server_), {2, bytes / 2, 1, bytes, true});  // answers only after the end
  EXPECT_TRUE(run_until(
      loop_, [&] { return one.done() && two.done(); }, 60s));
  EXPECT_TRUE(one.intact() && two.intact());
  EXPECT_EQ(one.error(), nullptr);
  EXPECT_EQ(two.error(), nullptr);
}

INSTANTIATE_TEST_SUITE_P(All, TlsManners,
                         ::testing::Values(MannersCase{"plain", {}, 3000000},
                                           MannersCase{"byte_by_byte", {1, 1, 64 * 1024}, 20000},
                                           MannersCase{"odd", {1000, 333, 4000}, 400000},
                                           MannersCase{"nothing", {}, 0}),
                         [](const auto& instance) { return instance.param.name; });

TEST_F(TlsStreamTest, WhoDoesNotReadStopsWhoWrites) {
  shake_hands(files_->server(), files_->client());
  const ByteVector block(100000, 7);
  size_t written = 0;
  bool again = false;
  client().on_progress([&] { again = true; });
  run_until(
      loop_,
      [&] {
        again = false;
        written += client().write(block);
        return written > 10000000;
      },
      500ms);
  // The two queues here, the two there, and the stream between; each with a record to spare.
  EXPECT_LE(written, 4 * 64 * 1024 + 6 * 16 * 1024);
  EXPECT_LE(server().peek().size(), Stream::kReceived);
  size_t read = 0;
  again = false;
  ASSERT_TRUE(run_until(loop_, [&] {
    read += server().peek().size();
    server().consume(server().peek().size());
    return read == written;
  }));
  EXPECT_TRUE(again) << "there is room again, and the writer heard of it";
  EXPECT_GT(client().write(block), 0U);
}

TEST_F(TlsStreamTest, ASmallMemoryBudgetBoundsWhatWaits) {
  shake_hands(files_->server(), files_->client());
  EXPECT_GE(loop_.memory().used(), 2 * Stream::kFixed);
  loop_.memory().set_cap(64 * 1024);
  const ByteVector block(100000, 7);
  size_t written = 0;
  run_until(
      loop_, [&] { return (written += client().write(block)) > 10000000; }, 300ms);
  // A record and one to spare in each of the queues; the stream between has no budget.
  EXPECT_LE(written, 64 * 1024 + 6 * 16 * 1024);
  EXPECT_LE(server().peek().size(), 16 * 1024U);
  EXPECT_GE(loop_.memory().used(), 2 * Stream::kFixed + server().peek().size());
  size_t read = 0;
  ASSERT_TRUE(run_until(loop_, [&] {
    read += server().peek().size();
    server().consume(server().peek().size());
    return read == written;
  }));
  server_.reset();
  client_.reset();
  EXPECT_EQ(loop_.memory().used(), 0U);
}

/// Copies bytes between two streams, until told otherwise.
class Middle {
 public:
  Middle(io::Loop& loop, std::unique_ptr<MemoryStream> a, std::unique_ptr<MemoryStream> b)
      : work_(loop, [this] { copy(); }), a_(std::move(a)), b_(std::move(b)) {
    a_->on_progress([this] { copy(); });
    b_->on_progress([this] { copy(); });
  }
  std::function<void(ByteVector&)> bend = [](ByteVector&) {};
  void cut() {
    cut_ = true;
    a_->finish();
    b_->finish();
  }

 private:
  void copy() {
    if (cut_) return;
    for (auto* ends : {&a_, &b_}) {
      MemoryStream& from = **ends;
      MemoryStream& to = ends == &a_ ? *b_ : *a_;
      ByteVector bytes(from.peek().begin(), from.peek().end());
      from.consume(bytes.size());
      bend(bytes);
      to.write(bytes);
      if (from.ended()) to.finish();
    }
  }

  io::Task work_;
  std::unique_ptr<MemoryStream> a_;
  std::unique_ptr<MemoryStream> b_;
  bool cut_ = false;
};

class TlsMiddleTest : public TlsStreamTest {
 protected:
  void begin() {
    auto [client, left] = MemoryStream::make_pair(loop_);
    auto [right, server] = MemoryStream::make_pair(loop_);
    middle_.emplace(loop_, std::move(left), std::move(right));
    begin_server(std::move(server), files_->server());
    begin_client(std::move(client), files_->client());
  }
  std::optional<Middle> middle_;
};

TEST_F(TlsMiddleTest, AnEndWithoutAGoodbyeIsAnErrorAfterWhatCameBeforeIt) {
  begin();
  ASSERT_TRUE(settle());
  client().write(as_bytes("the last words"));
  ASSERT_TRUE(run_until(loop_, [&] { return !server().peek().empty(); }));
  middle_->cut();
  ASSERT_TRUE(run_until(loop_, [&] { return client().error() != nullptr; }));
  EXPECT_EQ(server().error(), nullptr);
  EXPECT_FALSE(server().ended());
  EXPECT_EQ(as_text(server().peek()), "the last words");
  server().consume(server().peek().size());
  ASSERT_NE(server().error(), nullptr);
  EXPECT_EQ(server().error()->code, ErrorCode::reset);
  EXPECT_THAT(server().error()->message, HasSubstr("cut off"));
  EXPECT_FALSE(server().ended());
}

/// Not in a length, which makes the other end wait.
TEST_F(TlsMiddleTest, ABentByteEndsIt) {
  std::mt19937 random(1);
  for (int i = 0; i < 20; ++i) {
    server_.reset();
    client_.reset();
    begin();
    bool bent = false;
    middle_->bend = [&](ByteVector& bytes) {
      if (bent || bytes.size() < 21 || random() % 3 != 0) return;
      bytes[bytes.size() - 1 - random() % 16] ^= static_cast<uint8_t>(1U << random() % 8);
      bent = true;
    };
    const bool settled = run_until(
        loop_,
        [&] {
          if (server_ && *server_) server().write(as_bytes("x"));
          if (client_ && *client_) client().write(as_bytes("x"));
          const bool server_over = server_ && (!*server_ || server().error() != nullptr);
          const bool client_over = client_ && (!*client_ || client().error() != nullptr);
          return server_over || client_over;
        },
        20s);
    EXPECT_TRUE(settled) << i;
    accepting_.reset();
    connecting_.reset();
    server_.reset();
    client_.reset();
  }
}

TEST_F(TlsStreamTest, TheSecondConnectionIsResumed) {
  auto server_context = *ServerContext::create(files_->server());
  auto client_context = *ClientContext::create(files_->client());
  for (int i = 0; i < 3; ++i) {
    server_.reset();
    client_.reset();
    auto [a, b] = MemoryStream::make_pair(loop_);
    accepting_ = accept(loop_, std::move(a), server_context, into(server_));
    connecting_ = connect(loop_, std::move(b), client_context, into(client_));
    ASSERT_TRUE(settle());
    EXPECT_EQ(client().resumed(), i > 0) << client().describe();
    EXPECT_THAT(client().describe(), HasSubstr("TLSv1.3"));
    server().write(as_bytes("the ticket comes before this"));
    ASSERT_TRUE(run_until(loop_, [&] { return !client().peek().empty(); }));
  }
}

TEST_F(TlsStreamTest, AClientWithoutACertificateIsRefusedAndToldWhy) {
  auto mutual = files_->server();
  mutual.client_ca = files_->pem("ca");
  shake_hands(mutual, files_->client());
  EXPECT_THAT(error_of(server_), HasSubstr("the client showed no certificate"));
  EXPECT_EQ(server_->error().code, ErrorCode::authentication_failed);
  if (*client_) {
    ASSERT_TRUE(run_until(loop_, [&] { return client().error() != nullptr; }));
    EXPECT_THAT(client().error()->message, HasSubstr("wants a client certificate"));
  }
}

TEST_F(TlsStreamTest, AClientWithACertificateByTheRightAuthorityIsTaken) {
  auto mutual = files_->server();
  mutual.client_ca = files_->pem("ca");
  files_->make("client", "ca", "DNS:client.example");
  auto client = files_->client();
  client.cert = files_->pem("client");
  client.key = files_->key("client");
  shake_hands(mutual, client);
  EXPECT_TRUE(*server_ && *client_) << error_of(server_);

  files_->make_authority("stranger");
  files_->make("foreign", "stranger", "DNS:client.example");
  client.cert = files_->pem("foreign");
  client.key = files_->key("foreign");
  shake_hands(mutual, client);
  EXPECT_THAT(error_of(server_),
              HasSubstr("the client's certificate is by an authority that is not trusted here: "
                        "/CN=Authority stranger"));
}

TEST_F(TlsStreamTest, AServerOfAnotherAuthorityNameOrTimeIsRefused) {
  files_->make_authority("other");
  auto client = files_->client();
  client.ca = files_->pem("other");
  shake_hands(files_->server(), client);
  EXPECT_THAT(error_of(client_), HasSubstr("server.example is by an authority that is not trusted "
                                           "here: /CN=Authority ca"));
  EXPECT_EQ(client_->error().code, ErrorCode::authentication_failed);
  EXPECT_THAT(error_of(server_), HasSubstr("does not trust the authority of our certificate"));

  client = files_->client();
  client.name = "elsewhere.example";
  shake_hands(files_->server(), client);
  EXPECT_THAT(error_of(client_), HasSubstr("is for another name: server.example"));
  client.name = "127.0.0.2";
  shake_hands(files_->server(), client);
  EXPECT_THAT(error_of(client_), HasSubstr("is for another name"));
  client.name = "127.0.0.1";
  shake_hands(files_->server(), client);
  EXPECT_EQ(error_of(client_), "");

  files_->make("expired", "ca", "DNS:server.example", -1);
  ServerOptions expired{files_->pem("expired"), files_->key("expired"), "", {}};
  shake_hands(expired, files_->client());
  EXPECT_THAT(error_of(client_), HasSubstr("has expired (valid until "));
}

TEST_F(TlsStreamTest, PlainPeersAreRecognised) {
  for (const auto& [first, who] : {std::pair("\x05\x01", "a SOCKS client without TLS"),
                                   std::pair("\x04\x01", "a SOCKS client without TLS"),
                                   std::pair("CONNECT x:1", "an HTTP client without TLS")}) {
    server_.reset();
    auto [a, b] = MemoryStream::make_pair(loop_);
    begin_server(std::move(a), files_->server());
    b->write(as_bytes(first));
    ASSERT_TRUE(run_until(loop_, [&] { return b->ended(); })) << "it is hung up on";
    b.reset();
    ASSERT_TRUE(run_until(loop_, [&] { return server_.has_value(); }));
    EXPECT_THAT(error_of(server_), HasSubstr(who));
    EXPECT_EQ(server_->error().code, ErrorCode::protocol);
  }
}

TEST_F(TlsStreamTest, APeerThatIsNoTlsServerIsSaidToBe) {
  auto [a, b] = MemoryStream::make_pair(loop_);
  begin_client(std::move(a), files_->client());
  b->write(as_bytes("SSH-2.0-OpenSSH_9.2\r\n"));
  b->finish();
  ASSERT_TRUE(run_until(loop_, [&] { return client_.has_value(); }));
  EXPECT_THAT(error_of(client_), HasSubstr("does not speak TLS"));
}

TEST_F(TlsStreamTest, SilenceAndCancellationEndAHandshake) {
  auto [a, b] = MemoryStream::make_pair(loop_);
  connecting_ =
      connect(loop_, std::move(a), *ClientContext::create(files_->client()), into(client_), 10ms);
  ASSERT_TRUE(run_until(loop_, [&] { return client_.has_value(); }));
  EXPECT_EQ(client_->error().code, ErrorCode::timed_out);

  client_.reset();
  auto [c, d] = MemoryStream::make_pair(loop_);
  begin_client(std::move(c), files_->client());
  ASSERT_TRUE(run_until(loop_, [&] { return !d->peek().empty(); })) << "the greeting";
  connecting_.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return d->error() != nullptr; }));
  EXPECT_FALSE(client_.has_value());
}

TEST_F(TlsStreamTest, NewCertificatesAreForNewConnections) {
  files_->make("served", "ca", "DNS:server.example");
  auto certificates =
      ServerCertificates::load({files_->pem("served"), files_->key("served"), "", {}});
  ASSERT_TRUE(certificates);
  const auto old = certificates->current();
  auto [a, b] = MemoryStream::make_pair(loop_);
  accepting_ = accept(loop_, std::move(a), old, into(server_));
  begin_client(std::move(b), files_->client());
  ASSERT_TRUE(settle());

  testing::write_file(files_->pem("served"), "no certificate");
  const auto bad = certificates->reload();
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::usage);
  EXPECT_THAT(bad.error().message, HasSubstr(files_->pem("served")));
  EXPECT_EQ(certificates->current(), old);

  files_->make_authority("next");
  files_->make("served", "next", "DNS:server.example");
  ASSERT_TRUE(certificates->reload());
  EXPECT_NE(certificates->current(), old);
  client().write(as_bytes("old ones go on"));
  EXPECT_TRUE(run_until(loop_, [&] { return !server().peek().empty(); }));
  const auto first_server = std::move(server_);
  const auto first_client = std::move(client_);
  server_.reset();
  client_.reset();
  auto [c, d] = MemoryStream::make_pair(loop_);
  accepting_ = accept(loop_, std::move(c), certificates->current(), into(server_));
  auto next = files_->client();
  next.ca = files_->pem("next");
  begin_client(std::move(d), next);
  ASSERT_TRUE(settle());
  EXPECT_TRUE(*client_) << error_of(client_);
}

TEST_F(TlsStreamTest, FilesThatDoNotFitAreNamed) {
  auto error = [](const auto& context) { return context ? "" : context.error().message; };
  auto options = files_->server();
  options.cert = files_->path("missing");
  EXPECT_THAT(error(ServerContext::create(options)), HasSubstr("missing: No such file"));
  options = files_->server();
  options.key = files_->key("ca");
  EXPECT_THAT(error(ServerContext::create(options)), HasSubstr("not the key of the certificate"));
  options = files_->server();
  options.client_ca = files_->key("ca");
  EXPECT_THAT(error(ServerContext::create(options)), HasSubstr("ca.key"));
  std::filesystem::copy_file(files_->key("server"), files_->path("open.key"),
                             std::filesystem::copy_options::overwrite_existing);
  ASSERT_EQ(testing::run({"chmod", "0644", files_->path("open.key")}).status, 0);
  options = files_->server();
  options.key = files_->path("open.key");
  EXPECT_THAT(error(ServerContext::create(options)), HasSubstr("chmod o="));
  ASSERT_EQ(testing::run({"openssl", "pkey", "-in", files_->key("server"), "-aes256", "-passout",
                          "pass:secret", "-out", files_->path("encrypted.key")})
                .status,
            0);
  options.key = files_->path("encrypted.key");
  EXPECT_THAT(error(ServerContext::create(options)), HasSubstr("it is encrypted"));
  auto nameless = files_->client();
  nameless.name = "";
  EXPECT_THAT(error(ClientContext::create(nameless)), HasSubstr("name is missing"));
}

}  // namespace
}  // namespace tunproxy::tls
